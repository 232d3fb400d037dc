"""Accuracy of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data import Loader
from modernet.evaluation.answering import answer_batches
from modernet.evaluation.scores import NonFiniteScores, non_finite, ranks
from modernet.processes import ALONE, Processes
from modernet.statistics import wilson_interval


@dataclass(frozen=True)
class Accuracy:
    """Accuracy of a classifier on a split, in per cent."""

    top1: float
    """Share of images whose class has the highest logit, as `argmax` has it."""
    top5: float
    """Share of images whose class is among the five highest logits; 100 with five classes or fewer. Of equal logits,
    the lowest index counts as the highest."""
    loss: float
    """Mean cross-entropy in nats, without label smoothing."""
    n: int
    """Number of images."""


@torch.inference_mode()
def evaluate_classifier(
    network: nn.Module, loader: Loader, name: str = "evaluating", processes: Processes = ALONE
) -> Accuracy:
    """Evaluate a classifier on every image of a loader, in evaluation mode.

    Args:
        network: images `(b, 3, h, w)` -> logits `(b, k)`.
        loader: without augmentation.
        name: title of the progress bar.
        processes: those that share the images; each has its own loader, and all return the same accuracy.

    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    sums: Tensor | float = 0.0
    count = 0
    for logits, targets in answer_batches(network, loader, name, processes):
        rank = ranks(logits, targets)
        loss = F.cross_entropy(logits, targets, reduction="sum")
        found = ((rank < 1).sum(), (rank < 5).sum(), loss, non_finite(logits))
        sums = sums + torch.stack([each.double() for each in found])
        count += len(targets)
    assert isinstance(sums, Tensor), "a loader yields at least one batch"
    gathered = processes.gather((*sums.tolist(), count))
    top1, top5, loss_sum, lost, count = (sum(column) for column in zip(*gathered, strict=True))
    if lost:
        raise NonFiniteScores.of(f"{lost:.0f} of {count} images")
    return Accuracy(top1=100 * top1 / count, top5=100 * top5 / count, loss=loss_sum / count, n=count)


def with_interval(name: str, per_cent: float, n: int) -> dict[str, float]:
    """Return a share of n images in per cent as metrics of a record: `name`, and the ends of its 95 % interval,
    `name_low` and `name_high`, as of independent images.
    """
    ends = wilson_interval(per_cent / 100, n)
    return {name: per_cent, f"{name}_low": 100 * ends.low, f"{name}_high": 100 * ends.high}
