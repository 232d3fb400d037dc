"""Pathfinder: pictures in which two ends are marked, of one long snake or of two. Generated, or read."""

from modernet.data.sequences.pathfinder.dataset import pathfinder_dataset

__all__ = ["pathfinder_dataset"]
