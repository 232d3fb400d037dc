"""Readers of point clouds: each lists what there is, and reads one cloud at a time."""
