"""Mean intersection over union, from a confusion matrix."""

from __future__ import annotations

import math

import torch
from torch import Tensor


class Confusion:
    """Counts of pixels by true and predicted class, accumulated over batches.

    Args:
        num_classes: k.
        device: where the batches are.
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self.num_classes = num_classes
        self.counts = torch.zeros(num_classes, num_classes, dtype=torch.int64, device=device)
        """int64 (k, k), true class by predicted class."""

    def add(self, predicted: Tensor, target: Tensor) -> None:
        """Count the pixels of a batch.

        Args:
            predicted: classes, integers of any shape.
            target: of the same shape; pixels outside of 0 ... k - 1 are ignored.
        """
        valid = (target >= 0) & (target < self.num_classes)
        pairs = self.num_classes * target[valid].long() + predicted[valid].long()
        self.counts += torch.bincount(pairs, minlength=self.num_classes**2).view_as(self.counts)

    def per_class_iou(self) -> list[float]:
        """Return the intersection over union of each class, in per cent; NaN where it is neither true nor predicted.

        Over the whole data set, not per image.
        """
        counts = self.counts.double()
        intersection = counts.diagonal()
        shares: list[float] = (100 * intersection / (counts.sum(0) + counts.sum(1) - intersection)).tolist()
        return shares

    def mean_iou(self) -> float:
        """Return the mean of `per_class_iou` over the classes that occur, as in OpenMMLab; 0 if there is no pixel."""
        return _mean(self.per_class_iou())

    def mean_accuracy(self) -> float:
        """Return the mean over the true classes of the share of their pixels that is found, in per cent; 0 if there is
        no pixel.
        """
        counts = self.counts.double()
        return _mean((100 * counts.diagonal() / counts.sum(1)).tolist())

    def pixel_accuracy(self) -> float:
        """Return the share of pixels whose class is right, in per cent; 0 if there is no pixel."""
        counts = self.counts.double()
        return float(100 * counts.diagonal().sum() / counts.sum().clamp(min=1))


def _mean(values: list[float]) -> float:
    """Return the mean of what is a number; 0 if nothing is."""
    numbers = [value for value in values if not math.isnan(value)]
    return sum(numbers) / len(numbers) if numbers else 0.0
