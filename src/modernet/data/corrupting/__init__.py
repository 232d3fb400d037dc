"""`modernet data corrupt`: any data set as corrupted images, in the layout of ImageNet-C."""
