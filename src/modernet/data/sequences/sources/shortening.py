"""Short versions of tasks: few examples, chosen by chance but always the same."""

from __future__ import annotations

import random
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
    """Return a source with few of its rows, which are in memory."""
    n_train, n_validation, n_test = NANO_SIZES
    validation = None if source.validation is None else _some_rows(source.validation, n_validation)
    return replace(
        source, train=_some_rows(source.train, n_train), validation=validation, test=_some_rows(source.test, n_test)
    )


def _some_rows(rows: Rows, count: int) -> list[Row | Broken]:
    """Return `count` rows in their order, or all, in one pass: reservoir sampling."""
    rng = random.Random(0)
    kept: list[tuple[int, Row | Broken]] = []
    for number, row in enumerate(rows):
        if number < count:
            kept.append((number, row))
        elif (place := rng.randrange(number + 1)) < count:
            kept[place] = number, row
    return [row for _, row in sorted(kept, key=lambda each: each[0])]
