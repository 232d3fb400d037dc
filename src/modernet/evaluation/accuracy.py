"""Accuracy of a classifier."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet import progress
from modernet.data import NO_TARGET, Loader
from modernet.processes import ALONE, Processes


@dataclass(frozen=True)
class Accuracy:
    """What a classifier gets right on a split, in per cent."""

    top1: float
    top5: float
    """Share of images whose class is among the five highest scores; 100 where there are five classes or fewer."""
    loss: float
    """Mean cross-entropy in nats, without label smoothing."""
    n: int
    """Images."""


@torch.inference_mode()
def evaluate_classifier(
    network: nn.Module, loader: Loader, name: str = "evaluating", processes: Processes = ALONE
) -> Accuracy:
    """Run a classifier over every image of an evaluation loader once.

    The network is put in evaluation mode for it, and back into the mode that it was in.

    Args:
        network: images `(b, 3, h, w)` -> scores `(b, k)`.
        loader: one that was made without augmentation.
        name: what to call the work in the display of progress.
        processes: those that share the images, each with its part of the loader; all get the same answer.
    """
    was_training = network.training
    network.eval()
    sums: Tensor | float = 0.0
    count = 0
    with progress.bar(name, loader.samples_per_epoch) as shown:
        for batch in loader.batches():
            scores = network(batch.images).float()
            best = scores.topk(min(5, scores.shape[1])).indices == batch.targets[:, None]
            loss = F.cross_entropy(scores, batch.targets, reduction="sum", ignore_index=NO_TARGET)
            sums = sums + torch.stack([best[:, 0].sum().double(), best.sum().double(), loss.double()])
            counted = len(batch.targets) if processes.alone else int((batch.targets != NO_TARGET).sum())
            count += counted
            shown.advance(counted * processes.world)
    network.train(was_training)
    assert isinstance(sums, Tensor), "a loader yields at least one batch"
    gathered = processes.gather((*sums.tolist(), count))
    top1, top5, loss_sum, count = (sum(column) for column in zip(*gathered, strict=True))
    return Accuracy(top1=100 * top1 / count, top5=100 * top5 / count, loss=loss_sum / count, n=count)
