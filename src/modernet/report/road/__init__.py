"""Records of walks of the road: summary, tables, charts."""
