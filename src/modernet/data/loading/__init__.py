"""Splits -> batches: which images, in which order, decoded by whom."""
