"""Run a classifier on every image of a loader: the loop that accuracy, answers and judgements share."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.data import Loader
from modernet.processes import ALONE, Processes


@torch.inference_mode()
def answer_batches(
    network: nn.Module, loader: Loader, name: str, processes: Processes = ALONE
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield the logits of a network in evaluation mode, float32 (b, k), and the targets, for every image in order.

    At the end, the network has its mode again.

    Args:
        network: images `(b, 3, h, w)` -> logits `(b, k)`.
        loader: without augmentation.
        name: title of the progress bar.
        processes: those that share the images; each has its own loader.
    """
    was_training = network.training
    network.eval()
    with progress.bar(name, loader.samples_per_epoch) as shown:
        for batch in loader.batches():
            yield network(batch.images).float()[: batch.counted], batch.targets[: batch.counted]
            shown.advance(batch.counted * processes.world)
    network.train(was_training)
