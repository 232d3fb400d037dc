"""Effects of two-level factors and of their interactions, with intervals: ordinary least squares.

With levels x = -1 (off) and +1 (on), a response is modelled as

    y = m + sum_i b_i x_i + sum_{i<j} b_ij x_i x_j + noise

and an effect is 2b: the change from switching a factor on, averaged over the other factors. An interaction of A and B
is half the difference between A's effect where B is on and A's effect where B is off, so A's effect is A ± AB. The
variance of the noise is pooled from replicates, so that terms missing from the model do not count as noise. Box, Hunter
and Hunter, "Statistics for Experimenters", 1978, chapter 10.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from modernet.statistics import Interval, holm, pooled_variance, student_margin

Term = tuple[str, ...]
"""A factor, `("A",)`, or an interaction, `("A", "B")`."""


@dataclass(frozen=True)
class Effect:
    """One effect, in the unit of the responses.

    Attributes:
        terms: the factor or the interaction. Of several terms, which the runs cannot tell apart (aliases), the effect
            is the sum.
        value: the estimate.
        interval: Student's confidence interval; None without replicates that vary.
        p_value: of the hypothesis that the effect is zero; None likewise.
        holds_among_all: whether it differs from zero also when all effects are judged together, by Holm's procedure.
    """

    terms: tuple[Term, ...]
    value: float
    interval: Interval | None = None
    p_value: float | None = None
    holds_among_all: bool = False

    @property
    def is_main(self) -> bool:
        """Whether it is the effect of a single factor, not of an interaction."""
        return len(self.terms[0]) == 1

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval, and zero is outside of it."""
        return self.interval is not None and self.interval.excludes(0)


@dataclass(frozen=True)
class Effects:
    """The effects that an experiment shows.

    Attributes:
        mean: m of the model: the response in the middle of all factors.
        effects: the factors in their order, then the interactions, the largest first.
        noise_std: pooled standard deviation of replicates; None without replicates that vary.
        freedom: degrees of freedom of `noise_std`.
        unexplained_p: p-value of the hypothesis that only noise is missing from the model (lack of fit); small if
            interactions of three or more factors matter. None without degrees of freedom to test it.
    """

    mean: float
    effects: tuple[Effect, ...]
    noise_std: float | None
    freedom: int
    unexplained_p: float | None

    @property
    def main(self) -> tuple[Effect, ...]:
        """Effects of single factors."""
        return tuple(effect for effect in self.effects if effect.is_main)

    @property
    def interactions(self) -> tuple[Effect, ...]:
        """Effects of interactions."""
        return tuple(effect for effect in self.effects if not effect.is_main)


def estimate_effects(
    factors: Sequence[str], levels: Sequence[Sequence[int]], responses: Sequence[Sequence[float]]
) -> Effects:
    """Fit the model of this module's docstring.

    Args:
        factors: names.
        levels: -1 or +1 of each factor in each design.
        responses: of each design, one value per replicate, at least one; designs may have different numbers.

    Raises:
        ValueError: the designs are too few or too similar to estimate every effect.
    """
    import numpy as np
    from scipy.special import fdtrc, stdtr

    columns = alias_sets(factors, levels)
    model = np.array([[1.0, *row] for row in zip(*columns.values(), strict=True)])
    replicates = np.array([len(values) for values in responses])
    means = np.array([statistics.mean(values) for values in responses])
    information = model.T @ (replicates[:, None] * model)
    if np.linalg.matrix_rank(model) < model.shape[1]:
        raise ValueError(f"{len(model)} designs cannot tell {model.shape[1] - 1} effects apart")
    covariance = np.linalg.inv(information)
    fit = covariance @ (model.T @ (replicates * means))

    variance, freedom = pooled_variance(responses)
    values = [float(2 * slope) for slope in fit[1:]]
    terms = list(columns)
    if variance == 0:  # one seed, or seeds that do not vary: they were too few, the effects are not certain
        effects = [Effect(names, value) for names, value in zip(terms, values, strict=True)]
        return Effects(float(fit[0]), _ordered(effects), None, freedom, None)

    errors = [2 * math.sqrt(variance * covariance[index, index]) for index in range(1, len(fit))]
    p_values = [2 * float(stdtr(freedom, -abs(value) / error)) for value, error in zip(values, errors, strict=True)]
    effects = [
        Effect(names, value, Interval.around(value, student_margin(error, freedom)), p_value, holds)
        for names, value, error, p_value, holds in zip(terms, values, errors, p_values, holm(p_values), strict=True)
    ]
    left = len(model) - len(fit)
    unexplained = float(sum(replicates * (means - model @ fit) ** 2))
    p_left = float(fdtrc(left, freedom, unexplained / left / variance)) if left else None
    return Effects(float(fit[0]), _ordered(effects), math.sqrt(variance), freedom, p_left)


def alias_sets(factors: Sequence[str], levels: Sequence[Sequence[int]]) -> dict[tuple[Term, ...], tuple[int, ...]]:
    """Group factors and two-way interactions that have the same column of -1 and +1 over the designs.

    >>> list(alias_sets("ABC", [(-1, -1, 1), (1, -1, -1), (-1, 1, -1), (1, 1, 1)]))  # C = AB
    [(('A',), ('B', 'C')), (('B',), ('A', 'C')), (('C',), ('A', 'B'))]
    """
    by_column: dict[tuple[int, ...], list[Term]] = {}
    places = range(len(factors))
    for chosen in (*itertools.combinations(places, 1), *itertools.combinations(places, 2)):
        column = tuple(math.prod(row[place] for place in chosen) for row in levels)
        by_column.setdefault(column, []).append(tuple(factors[place] for place in chosen))
    return {tuple(terms): column for column, terms in by_column.items()}


def _ordered(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    interactions = sorted((one for one in effects if not one.is_main), key=lambda one: -abs(one.value))
    return (*(one for one in effects if one.is_main), *interactions)
