"""Networks for point clouds: Attentional ShapeContextNet, and PointNet and PointNet++ to compare it with."""
