"""Semantic segmentation: a class for every pixel."""

from modernet.segmentation.network import Segmenter
from modernet.segmentation.upernet import TrainingLogits, UPerNet

__all__ = ["Segmenter", "TrainingLogits", "UPerNet"]
