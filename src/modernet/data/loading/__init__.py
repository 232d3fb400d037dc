"""Splits -> batches: which images, in which order, decoded in which process."""
