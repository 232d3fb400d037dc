"""Classifiers of sequences: their accuracy on a split, and their predictions for single files and rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet import progress
from modernet.data.sequences.dataset import SequenceSplit
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.examples import Example
from modernet.errors import InputError
from modernet.evaluation.answering import Questions, answer_batches
from modernet.evaluation.mean_iou import Confusion
from modernet.evaluation.predicting import Guess
from modernet.evaluation.scores import NonFiniteScores, non_finite
from modernet.processes import ALONE, Processes
from modernet.weights import SavedNetwork

_MOST_NAMED = 5  # classes, in a message


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
    device = next(network.parameters()).device
    confusion, sums = Confusion(num_classes, device), torch.zeros(2, dtype=torch.float64, device=device)
    for logits, targets in answer_batches(network, loader, title, processes):
        confusion.add(logits.argmax(1), targets)
        sums += torch.stack([F.cross_entropy(logits, targets, reduction="sum").double(), non_finite(logits).double()])
    counts, (loss, lost) = processes.sum(confusion.counts).cpu(), processes.sum(sums).tolist()
    n = int(counts.sum())
    if lost:
        raise NonFiniteScores.of(f"{lost:.0f} of {n} sequences")
    return counts, {"accuracy": 100 * int(counts.trace()) / n, "loss": loss / n, "n": n}


def numbered_sequences(split: SequenceSplit, names: Sequence[str], known: Sequence[str]) -> SequenceSplit:
    """Return a split with its classes numbered as a network's, which have the same names.

    Args:
        names: of the classes of the split, of which not all need occur.
        known: those of the network.

    Raises:
        InputError: an example has a class that the network does not know.
    """
    for label in sorted({*split.labels.tolist()}):
        if names[label] not in known:
            shown = ", ".join(known[:_MOST_NAMED]) + (", ..." if len(known) > _MOST_NAMED else "")
            raise InputError(f"the data has the class {names[label]!r}, and the network knows only {shown}")
    table = np.array([known.index(name) if name in known else -1 for name in names], dtype=np.int64)
    return replace(split, labels=table[split.labels])


@dataclass(frozen=True)
class ClassifiedSequence:
    """The most probable classes of a sequence."""

    name: str
    """The file, or the file and the line."""
    predictions: list[Guess]
    """From the most to the least probable."""

    def lines(self) -> list[str]:
        """Return the prediction as text, a class per line."""
        return [f"{100 * guess.probability:5.1f} %  {guess.label}" for guess in self.predictions]


def classify_each(
    saved: SavedNetwork, found: Sequence[Example], *, top: int, skip_unreadable: bool, device: torch.device
) -> Iterator[ClassifiedSequence]:
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
        yield ClassifiedSequence(example.name, _guesses(saved, network, values, example.name)[:top])


@torch.inference_mode()
def _guesses(saved: SavedNetwork, network: nn.Module, values: Tensor, name: str) -> list[Guess]:
    """Return all classes with their probabilities, for one encoded sequence."""
    seen = values if values.is_floating_point() else values.long()
    logits = network(seen[None], torch.tensor([len(values)], device=values.device)).float()
    if non_finite(logits):
        raise NonFiniteScores.of(name)
    shares = logits[0].softmax(0).sort(descending=True, stable=True)
    pairs = zip(shares.indices.tolist(), shares.values.tolist(), strict=True)
    return [Guess(saved.classes[index], share) for index, share in pairs]
