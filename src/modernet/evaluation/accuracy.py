"""Accuracy of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet import progress
from modernet.data import Loader


@dataclass(frozen=True)
class Accuracy:
    """What a classifier gets right on a split, in per cent."""

    top1: float
    top5: float
    """Share of pictures whose class is among the five highest scores; 100 where there are five classes or fewer."""
    loss: float
    """Mean cross-entropy in nats, without label smoothing."""
    n: int
    """Pictures."""


@torch.inference_mode()
def evaluate_classifier(network: nn.Module, loader: Loader, name: str = "evaluating") -> Accuracy:
    """Run a classifier over every picture of an evaluation loader once.

    The network is put in evaluation mode for it, and back into the mode that it was in.

    Args:
        network: pictures `(b, 3, h, w)` -> scores `(b, k)`.
        loader: one that was made without augmentation.
        name: what to call the work in the display of progress.
    """
    was_training = network.training
    network.eval()
    sums: Tensor | float = 0.0
    count = 0
    with progress.task(name, loader.samples_per_epoch) as shown:
        for batch in loader.batches():
            scores = network(batch.images).float()
            best = scores.topk(min(5, scores.shape[1])).indices == batch.targets[:, None]
            loss = F.cross_entropy(scores, batch.targets, reduction="sum")
            sums = sums + torch.stack([best[:, 0].sum().double(), best.sum().double(), loss.double()])
            count += len(batch.targets)
            shown.advance(len(batch.targets))
    network.train(was_training)
    assert isinstance(sums, Tensor), "a loader yields at least one batch"
    top1, top5, loss_sum = sums.tolist()
    return Accuracy(top1=100 * top1 / count, top5=100 * top5 / count, loss=loss_sum / count, n=count)
