"""Placement of a network on devices: precision, compilation, replicated or sharded weights."""
