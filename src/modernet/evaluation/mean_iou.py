"""Mean intersection over union, from a confusion matrix."""

from __future__ import annotations

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

    def mean_iou(self) -> float:
        """Return the mean over classes of intersection over union, in per cent.

        Over the whole data set, not per image; classes that are neither true nor predicted anywhere do not count, as in
        OpenMMLab. 0 if there is no pixel.
        """
        counts = self.counts.double()
        intersection = counts.diagonal()
        union = counts.sum(0) + counts.sum(1) - intersection
        present = union > 0
        return float(100 * (intersection[present] / union[present]).mean()) if present.any() else 0.0

    def pixel_accuracy(self) -> float:
        """Return the share of pixels whose class is right, in per cent; 0 if there is no pixel."""
        counts = self.counts.double()
        return float(100 * counts.diagonal().sum() / counts.sum().clamp(min=1))
