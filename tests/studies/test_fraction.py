from __future__ import annotations

import itertools
import math

import pytest

from modernet.errors import InputError
from modernet.studies.fraction import new_fraction

SIZES = range(2, 13)


@pytest.mark.parametrize("factors", SIZES)
def test_every_fraction_is_balanced_and_orthogonal(factors: int) -> None:
    levels = new_fraction(factors)

    assert len(set(levels)) == len(levels)
    assert all(sum(row[factor] for row in levels) == 0 for factor in range(factors))
    for one, other in itertools.combinations(range(factors), 2):
        assert sum(row[one] * row[other] for row in levels) == 0


@pytest.mark.parametrize(
    ("factors", "runs", "resolution", "words_of_length_4"),
    [
        (2, 4, None, 0), (3, 8, None, 0), (4, 16, None, 0), (5, 16, 5, 0), (6, 32, 6, 0), (7, 32, 4, 1),
        (8, 32, 4, 3), (9, 32, 4, 6), (10, 32, 4, 10), (11, 32, 4, 25), (12, 32, 4, 38),
    ],
)  # fmt: skip
def test_fractions_have_the_published_resolution_and_aberration(
    factors: int, runs: int, resolution: int | None, words_of_length_4: int
) -> None:
    """Words of length four: Chen, Sun and Wu, "A catalogue of two-level and three-level fractional factorial designs
    with small runs", 1993."""
    levels = new_fraction(factors)
    lengths = [
        length
        for length in range(1, factors + 1)
        for word in itertools.combinations(range(factors), length)
        if all(math.prod(row[factor] for factor in word) == 1 for row in levels)  # a defining word of this length
    ]

    assert len(levels) == runs
    assert min(lengths, default=None) == resolution
    assert lengths.count(4) == words_of_length_4


@pytest.mark.parametrize("factors", [1, 13])
def test_a_number_of_decisions_without_a_fraction_is_rejected(factors: int) -> None:
    with pytest.raises(InputError, match=f"a study of {factors} decisions is not supported; give 2 to 12"):
        new_fraction(factors)
