"""Semantic segmentation: a class for every pixel."""

from modernet.segmentation.network import Segmenter

__all__ = ["Segmenter"]
