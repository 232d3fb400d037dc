"""Two-level fractional factorials: which combinations of switches to try, and which effects are then aliased.

Box, Hunter and Hunter, "Statistics for Experimenters", 1978, chapters 10 and 12. A fraction is defined by generators:
the first factors take all combinations, and each other one is the product of some of them, with levels -1 and +1. The
products of factors that are 1 in every run are the fraction's defining words; its resolution is the length of the
shortest. With IV no main effect is aliased with a two-way interaction; with V or more, no two-way interaction is
aliased with another.
"""

from __future__ import annotations

import itertools
import math

from modernet.errors import InputError

# Number of factors -> number of basic factors, which take all combinations, and the generators of the others, for at
# most 32 runs. The fractions have minimum aberration (the fewest short words), found by exhaustive search; table 12.15
# of Box, Hunter and Hunter has fractions of the same resolutions. With three or four factors, half of the combinations
# would alias interactions.
_GENERATORS: dict[int, tuple[int, tuple[str, ...]]] = {
    2: (2, ()),
    3: (3, ()),
    4: (4, ()),
    5: (4, ("ABCD",)),
    6: (5, ("ABCDE",)),
    7: (5, ("ABC", "ABDE")),
    8: (5, ("ABC", "ABD", "ACDE")),
    9: (5, ("ABC", "ABD", "ABE", "ACDE")),
    10: (5, ("ABC", "ABD", "ABE", "ACDE", "BCDE")),
    11: (5, ("ABC", "ABD", "ACD", "ABE", "ACE", "ADE")),
    12: (5, ("ABC", "ABD", "ACD", "BCD", "ABE", "ACE", "ADE")),
}


def new_fraction(factors: int) -> tuple[tuple[int, ...], ...]:
    """Return all combinations of up to 4 factors; for 5 to 12, a fraction of 16 or 32 runs of resolution IV or more.

    5 factors in 16 runs have resolution V, 6 in 32 have VI, and 7 to 12 in 32 have IV.

    Returns:
        The level of each factor in each run, -1 or +1, in standard order: the first factor changes fastest.

    Raises:
        InputError: there are fewer than 2 or more than 12 factors.
    """
    if factors not in _GENERATORS:
        raise InputError(
            f"a study of {factors} decisions is not supported; give {min(_GENERATORS)} to {max(_GENERATORS)}"
        )
    basic, generators = _GENERATORS[factors]
    parents = [["ABCDE".index(letter) for letter in generator] for generator in generators]
    levels = []
    for combination in itertools.product((-1, 1), repeat=basic):
        row = combination[::-1]
        levels.append((*row, *(math.prod(row[parent] for parent in product) for product in parents)))
    return tuple(levels)
