"""The loss of a classifier's recipe."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F

from modernet.recipes import ClassificationRecipe

Criterion = Callable[[Tensor, Tensor], Tensor]
"""Scores `(b, classes)` and targets, int64 `(b,)` or shares `(b, classes)` -> the mean loss."""


def criterion(recipe: ClassificationRecipe) -> Criterion:
    """Return the loss of a recipe.

    Labels are smoothed here, whether mixed or not. For mixed ones this equals timm, which smooths before it mixes: both
    give every class a share of `smoothing / classes`, and mixing preserves what two targets have in common.
    """
    settings = recipe.regularization
    smoothing = settings.label_smoothing
    if settings.loss == "ce":
        return lambda scores, targets: F.cross_entropy(scores, targets, label_smoothing=smoothing)
    from timm.loss.binary_cross_entropy import BinaryCrossEntropy  # imported here because timm takes seconds

    binary = BinaryCrossEntropy(smoothing, target_threshold=settings.bce_threshold)

    def binary_cross_entropy(scores: Tensor, targets: Tensor) -> Tensor:
        if targets.ndim == 2:  # timm's loss expects these to be smoothed already
            targets = targets * (1 - smoothing) + smoothing / targets.shape[1]
        loss: Tensor = binary(scores, targets)
        return loss

    return binary_cross_entropy
