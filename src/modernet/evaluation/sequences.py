"""Classifiers of sequences: their accuracy on a split, and their predictions for single files and rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from modernet import progress
from modernet.data.sequences.dataset import SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.examples import Example
from modernet.errors import InputError
from modernet.evaluation.answering import Questions, answer_batches
from modernet.evaluation.class_counts import ClassCounts, ClassifiedExample, guesses, renumbered
from modernet.processes import ALONE, Processes
from modernet.weights import SavedNetwork


@torch.inference_mode()
def measure_sequences(
    network: nn.Module, loader: Questions, num_classes: int, title: str, processes: Processes = ALONE
) -> tuple[Tensor, dict[str, float]]:
    """Return the confusion of all examples, and `accuracy` in per cent, the mean `loss` in nats, and `n`.

    Args:
        network: the inputs of a batch -> logits `(b, k)`.
        loader: not for training.
        num_classes: k.
        title: of the progress bar.
        processes: those that share the examples; each has its own loader, and all return the same.

    Returns:
        Confusion: int64 (k, k), on the CPU, true class by predicted class.

    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    counts = ClassCounts(num_classes, next(network.parameters()).device)
    for logits, targets in answer_batches(network, loader, title, processes):
        counts.add(logits, targets)
    confusion, measured = counts.result("sequences", processes)
    return confusion.counts, measured


def numbered_sequences(split: SequenceSplit, names: Sequence[str], known: Sequence[str]) -> SequenceSplit:
    """Return a split with its classes numbered as a network's; arguments and errors as of `renumbered`."""
    return replace(split, labels=renumbered(split.labels, names, known))


def classify_each(
    saved: SavedNetwork, found: Sequence[Example], *, top: int, skip_unreadable: bool, device: torch.device
) -> Iterator[ClassifiedExample]:
    """Yield the most probable classes of each sequence, in order.

    Args:
        top: how many classes; all, if there are fewer.
        skip_unreadable: skip what cannot be read, instead of stopping.
        device: where to run the network.

    Raises:
        InputError: the network takes pairs, or a sequence cannot be read.
        NonFiniteScores: a logit is NaN or infinite.
    """
    assert isinstance(saved.inputs, Encoding)
    if saved.inputs.inputs.towers == 2:
        raise InputError("the network takes pairs of sequences, and a file has one; use modernet evaluate")
    network = saved.network.to(device)
    for example in found:
        try:
            values = torch.from_numpy(saved.inputs.encode(example.read(saved.inputs))).to(device)
        except InputError as error:
            if not skip_unreadable:
                raise InputError(f"{example.name}: {error}") from error
            progress.say(f"skipped: {example.name}: {error}")
            continue
        yield ClassifiedExample(example.name, guesses(_logits(network, values), saved.classes, example.name)[:top])


@torch.inference_mode()
def _logits(network: nn.Module, values: Tensor) -> Tensor:
    """Return the logits for one encoded sequence: float32 (k,)."""
    seen = values if values.is_floating_point() else values.long()
    logits: Tensor = network(seen[None], torch.tensor([len(values)], device=values.device)).float()
    return logits[0]
