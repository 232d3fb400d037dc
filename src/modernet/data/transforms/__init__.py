"""What is done to images in training: on the device in batches, or one by one as timm does it."""
