"""Short versions of tasks: few examples, chosen by chance but always the same."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from modernet.data.sequences.sources.rows import Broken, Row, Rows, RowSource

NANO_SIZES = (8000, 1000, 2000)
"""Examples in train, validation and test of a short version, at most."""


def some_of(positions: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """Return `count` of some positions in their order, or all."""
    return np.sort(np.random.default_rng(0).permutation(positions)[:count])


def shortened(source: RowSource) -> RowSource:
    """Return a source with few of its rows."""
    n_train, n_validation, n_test = NANO_SIZES
    validation = None if source.validation is None else _SomeRows(source.validation, n_validation)
    return replace(
        source, train=_SomeRows(source.train, n_train), validation=validation, test=_SomeRows(source.test, n_test)
    )


class _SomeRows:
    def __init__(self, rows: Rows, count: int) -> None:
        self._rows, self._count = rows, count

    def __iter__(self) -> Iterator[Row | Broken]:
        n = sum(1 for _ in self._rows)
        chosen = set(some_of(np.arange(n), self._count).tolist())
        yield from (row for number, row in enumerate(self._rows) if number in chosen)
