"""How far one gets with ListOps without evaluating nested lists."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from modernet.data.ragged import Ragged
from modernet.data.sequences.dataset import SequenceSplit, most_frequent_floor
from modernet.data.sequences.listops.grammar import END, FIRST_OPERATOR, OPERATORS

_AT_ONCE = 1000
_NO_DIGIT = 10


def listops_floors(train: SequenceSplit, test: SequenceSplit) -> dict[str, float]:
    """Return accuracies in % on the test split, of the most frequent answer in training for what is known.

    That is nothing, the operator of the outermost list, or also what this operator gives for those of its arguments
    that are digits, and whether it has others.
    """
    roots = [_roots(split.towers[0]) for split in (train, test)]
    names = "the root operator", "the root operator and its own digits"
    return most_frequent_floor(train, test) | {
        name: _accuracy(train_keys, train.labels, test_keys, test.labels)
        for name, train_keys, test_keys in zip(names, *roots, strict=True)
    }


def _roots(expressions: Ragged) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the operator of each root, and a number for the operator with its digits."""
    parts = [_some_roots(expressions, begin) for begin in range(0, len(expressions), _AT_ONCE)]
    operators, digits = (np.concatenate(part) for part in zip(*parts, strict=True))
    return operators, digits


def _some_roots(expressions: Ragged, begin: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    offsets = expressions.offsets[begin : begin + _AT_ONCE + 1]
    tokens = np.asarray(expressions.values[offsets[0] : offsets[-1]])
    n, of = len(offsets) - 1, np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    opens = (tokens >= FIRST_OPERATOR) & (tokens < END)
    depth = np.cumsum(opens.astype(np.int32) - (tokens == END))  # 0 again at the end of each
    own = (tokens < FIRST_OPERATOR) & (depth == 1)
    counts = np.bincount(of[own] * 10 + tokens[own] - 1, minlength=10 * n).reshape(n, 10)
    nested = np.bincount(of[opens & (depth == 2)], minlength=n) > 0
    operators = tokens[offsets[:-1] - offsets[0]].astype(np.int64) - FIRST_OPERATOR
    values = np.choose(operators, _values(counts))
    return operators, (operators * (_NO_DIGIT + 1) + values) * 2 + nested


def _values(counts: NDArray[np.int64]) -> list[NDArray[np.int64]]:
    """Return what each operator gives for digits that are there so many times, (n, 10); 10 where there are none."""
    up_to, total = counts.cumsum(1), counts.sum(1, keepdims=True)
    middle = ((up_to > (total - 1) // 2).argmax(1) + (up_to > total // 2).argmax(1)) // 2
    results = {
        "[MIN": (counts > 0).argmax(1),
        "[MAX": 9 - (counts[:, ::-1] > 0).argmax(1),
        "[MED": middle,
        "[SM": counts @ np.arange(10) % 10,
    }
    return [np.where(total[:, 0] > 0, results[name], _NO_DIGIT) for name in OPERATORS]


def _accuracy(
    train_keys: NDArray[np.int64],
    train_labels: NDArray[np.int64],
    test_keys: NDArray[np.int64],
    test_labels: NDArray[np.int64],
) -> float:
    """Return the accuracy in % on the test split of the answer that is most frequent in training for a key."""
    keys = max(train_keys.max(), test_keys.max()) + 1
    counts = np.bincount(train_keys * 10 + train_labels, minlength=keys * 10).reshape(keys, 10)
    return 100 * float((counts.argmax(1)[test_keys] == test_labels).mean())
