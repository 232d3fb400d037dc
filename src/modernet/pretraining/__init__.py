"""Pre-training with masked images: MAE for ViTs, FCMAE for ConvNeXts."""
