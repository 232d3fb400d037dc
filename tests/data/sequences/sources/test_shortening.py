from __future__ import annotations

from pathlib import Path

import numpy as np

from modernet.data.sequences.sources.rows import Row, RowSource
from modernet.data.sequences.sources.shortening import NANO_SIZES, shortened, some_of


def test_few_rows_are_taken_from_everywhere_in_their_order() -> None:
    rows = [Row(f"line {i}", str(i % 2), (str(i),)) for i in range(20_000)]
    short = shortened(RowSource(Path("a"), rows, rows[:500], rows, {}))
    for split, expected in zip((short.train, short.validation, short.test), (8000, 500, 2000), strict=True):
        numbers = [int(row.texts[0]) for row in split]
        assert len(numbers) == expected
        assert numbers == sorted(set(numbers))
    assert 9500 < np.mean(numbers) < 10_500
    assert max(numbers) > 19_900
    assert short.train == shortened(RowSource(Path("b"), rows, None, rows, {})).train


def test_few_positions_are_taken_in_their_order() -> None:
    positions = some_of(np.arange(100, 20_100), NANO_SIZES[0])
    assert len(positions) == 8000
    assert (np.diff(positions) > 0).all()
    assert 9900 < positions.mean() < 10_300
    assert some_of(np.arange(3), 10).tolist() == [0, 1, 2]
