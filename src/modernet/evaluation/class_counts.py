"""What classifiers of anything are measured by: accuracy, loss and confusion, over batches and processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.evaluation.mean_iou import Confusion
from modernet.evaluation.predicting import Guess
from modernet.evaluation.scores import NonFiniteScores, non_finite
from modernet.processes import ALONE, Processes

_MOST_NAMED = 5  # classes, in a message


class ClassCounts:
    """Confusion and loss, accumulated over batches.

    Args:
        num_classes: k.
        device: where the batches are.
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self._confusion = Confusion(num_classes, device)
        self._sums = torch.zeros(2, dtype=torch.float64, device=device)

    def add(self, logits: Tensor, targets: Tensor, predicted: Tensor | None = None) -> None:
        """Count a batch.

        Args:
            logits: float32 (n, k).
            targets: int64 (n,)
            predicted: int64 (n,), the answers; None: the largest logits.
        """
        self._confusion.add(logits.argmax(1) if predicted is None else predicted, targets)
        loss = F.cross_entropy(logits, targets, reduction="sum")
        self._sums += torch.stack([loss.double(), non_finite(logits).double()])

    def result(self, what: str, processes: Processes = ALONE) -> tuple[Confusion, dict[str, float]]:
        """Return the confusion of all examples, and `accuracy` in per cent, the mean `loss` in nats, and `n`.

        Args:
            what: the examples, in the plural.
            processes: those that share the examples; all return the same.

        Returns:
            The confusion is on the CPU.

        Raises:
            NonFiniteScores: a logit is NaN or infinite.
        """
        total = Confusion(self._confusion.num_classes, torch.device("cpu"))
        total.counts = processes.sum(self._confusion.counts).cpu()
        loss, lost = processes.sum(self._sums).tolist()
        n = int(total.counts.sum())
        if lost:
            raise NonFiniteScores.of(f"{lost:.0f} of {n} {what}")
        return total, {"accuracy": total.pixel_accuracy(), "loss": loss / n, "n": n}


@dataclass(frozen=True)
class ClassifiedExample:
    """The most probable classes of a sequence or a point cloud."""

    name: str
    """The file, perhaps with a line of it."""
    predictions: list[Guess]
    """From the most to the least probable."""

    def lines(self) -> list[str]:
        """Return the prediction as text, a class per line."""
        return [f"{100 * guess.probability:5.1f} %  {guess.label}" for guess in self.predictions]


def guesses(logits: Tensor, classes: Sequence[str], name: str) -> list[Guess]:
    """Return all classes with their probabilities, the most probable first.

    Args:
        logits: float32 (k,).
        classes: k names.
        name: of the example, for the error.

    Raises:
        NonFiniteScores: a logit is NaN or infinite.
    """
    if non_finite(logits[None]):
        raise NonFiniteScores.of(name)
    shares = logits.softmax(0).sort(descending=True, stable=True)
    pairs = zip(shares.indices.tolist(), shares.values.tolist(), strict=True)
    return [Guess(classes[index], share) for index, share in pairs]


def renumbered(labels: NDArray[np.int64], names: Sequence[str], known: Sequence[str]) -> NDArray[np.int64]:
    """Return classes numbered as a network's, which have the same names.

    Args:
        labels: int64 (n,), of the data.
        names: of the classes of the data, of which not all need occur.
        known: those of the network.

    Raises:
        InputError: a class occurs that the network does not know.
    """
    for label in np.unique(labels).tolist():
        if names[label] not in known:
            shown = ", ".join(known[:_MOST_NAMED]) + (", ..." if len(known) > _MOST_NAMED else "")
            raise InputError(f"the data has the class {names[label]!r}, and the network knows only {shown}")
    table = np.array([known.index(name) if name in known else -1 for name in names], dtype=np.int64)
    return table[labels]
