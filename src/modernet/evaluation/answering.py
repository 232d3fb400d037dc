"""Run a classifier on every example of a loader: the loop that accuracy, answers and judgements share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.processes import ALONE, Processes


class Questions(Protocol):
    """What loaders of images and of sequences have in common."""

    @property
    def samples_per_epoch(self) -> int:
        """Examples, over all processes."""

    def batches(self) -> Iterator[Any]:
        """Yield this process's batches, in order, with the `inputs` of the network, `targets` and `counted`."""


@torch.inference_mode()
def answer_whole_batches(
    network: nn.Module, loader: Questions, name: str, processes: Processes = ALONE
) -> Iterator[tuple[Any, Tensor]]:
    """Yield every batch in order, with the logits of a network in evaluation mode for the examples that count, float32.

    At the end, the network has its mode again.

    Args:
        network: the inputs of a batch, such as images `(b, 3, h, w)` -> logits `(b, ...)`.
        loader: without augmentation.
        name: title of the progress bar.
        processes: those that share the examples; each has its own loader.
    """
    was_training = network.training
    network.eval()
    with progress.bar(name, loader.samples_per_epoch) as shown:
        for batch in loader.batches():
            yield batch, network(*batch.inputs).float()[: batch.counted]
            shown.advance(batch.counted * processes.world)
    network.train(was_training)


def answer_batches(
    network: nn.Module, loader: Questions, name: str, processes: Processes = ALONE
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield logits and targets, float32 (b, k) and (b, ...), for every example in order; as `answer_whole_batches`."""
    for batch, logits in answer_whole_batches(network, loader, name, processes):
        yield logits, batch.targets[: batch.counted]
