"""A data set of sequences with three splits, and its batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.ragged import Ragged
from modernet.data.sequences.encoding import Encoding


@dataclass(frozen=True, eq=False)
class SequenceSplit:
    """Encoded sequences and their classes.

    Attributes:
        towers: one `Ragged`, or two of equal length where a pair has the class.
        labels: int64 (n,).
        names: where each example is from, for messages: a file, or a file and its line; empty if it was generated.
    """

    towers: tuple[Ragged, ...]
    labels: NDArray[np.int64]
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class SequenceDataset:
    """Sequences with three distinct splits.

    Attributes:
        name: short, for tables and folders.
        classes: names of the classes.
        encoding: how text, images or sound became the sequences.
        provenance: where the data is from, for records: generator, version and seed; or files and the digest of each.
        floors: accuracies in % that need no understanding, by what reaches them: "the most frequent class".
        same_held_out: whether validation and test are the same examples, as in the Arena's Text.
        unreadable: names of what was skipped because it could not be read.
    """

    name: str
    train: SequenceSplit
    validation: SequenceSplit
    test: SequenceSplit
    classes: tuple[str, ...]
    encoding: Encoding
    provenance: Mapping[str, Any]
    floors: Mapping[str, float] = field(default_factory=dict)
    same_held_out: bool = False
    unreadable: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return what belongs in a record: JSON-able, without the sequences; `classes` is a count."""
        lengths = np.concatenate([tower.lengths for tower in self.train.towers])
        return {
            "name": self.name,
            "classes": len(self.classes),
            "n_train": len(self.train),
            "n_validation": len(self.validation),
            "n_test": len(self.test),
            "same_held_out": self.same_held_out,
            "encoding": self.encoding.kind,
            "max_length": self.encoding.inputs.max_length,
            "vocabulary": self.encoding.inputs.vocabulary,
            "median_length": int(np.median(lengths)),
            "provenance": dict(self.provenance),
            "floors": dict(self.floors),
            "unreadable": list(self.unreadable),
        }


class Tower(NamedTuple):
    """One sequence of every example of a batch.

    Attributes:
        values: int64 (b, n), or float32 (b, n, channels).
        lengths: int64 (b,).
    """

    values: Tensor
    lengths: Tensor


class SequenceBatch(NamedTuple):
    """One micro-batch, on the device.

    Attributes:
        towers: one, or two where a pair has the class.
        targets: int64 (b,).
        positions: int64 (b,), on the CPU: index of each example in the split.
        counted: how many of the examples count, as in `modernet.data.Batch`.
    """

    towers: tuple[Tower, ...]
    targets: Tensor
    positions: Tensor
    counted: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What a network is called with: values and lengths of each tower in turn."""
        return tuple(part for tower in self.towers for part in tower)


def most_frequent_floor(train: SequenceSplit, test: SequenceSplit) -> dict[str, float]:
    """Return the accuracy in % of one answer for everything: the class that is most frequent in training."""
    answer = np.bincount(train.labels).argmax()
    return {"the most frequent class": 100 * float((test.labels == answer).mean())}
