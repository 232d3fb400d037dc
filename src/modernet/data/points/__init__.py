"""Point clouds: files, meshes and generated solids -> batches on the device; knows no model."""
