"""Sequences with one class each: read or generated -> batches with lengths. Knows no model."""
