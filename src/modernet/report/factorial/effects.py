"""Effects of two-level factors and of their interactions, with intervals: ordinary least squares.

With levels x = -1 (off) and +1 (on), a response is modelled as

    y = m + sum_i b_i x_i + sum_{i<j} b_ij x_i x_j + noise

and an effect is 2b: what switching on changes on average over the other factors. An interaction of A and B is half the
difference between A's effect where B is on and A's effect where B is off, so A's effect is A ± AB. The variance of the
noise is pooled from replicates, so that what the model leaves out does not count as noise. Box, Hunter and Hunter,
"Statistics for Experimenters", 1978, chapter 10.
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from modernet.report.statistics import CONFIDENCE

Term = tuple[str, ...]
"""A factor, `("A",)`, or an interaction, `("A", "B")`."""


@dataclass(frozen=True)
class Effect:
    """One effect, in the unit of the responses.

    Attributes:
        terms: what it is of: a factor or an interaction. Of several, which the runs cannot tell apart (aliases), it is
            the sum.
        value: the estimate.
        low, high: its 95 % interval, Student's; None without replicates that vary.
        p_value: of the hypothesis that it is zero; None likewise.
        holds_among_all: whether it differs from zero also when all effects are judged together: Holm's procedure keeps
            the chance of even one false claim among them below 5 %.
    """

    terms: tuple[Term, ...]
    value: float
    low: float | None = None
    high: float | None = None
    p_value: float | None = None
    holds_among_all: bool = False

    @property
    def is_main(self) -> bool:
        """Whether it is of a factor by itself, and not of interactions."""
        return len(self.terms[0]) == 1

    @property
    def margin(self) -> float | None:
        """Half the interval's width."""
        return None if self.high is None else self.high - self.value

    @property
    def excludes_zero(self) -> bool:
        """Whether the interval exists and lies on one side of zero."""
        return self.low is not None and self.high is not None and self.low * self.high > 0


@dataclass(frozen=True)
class Effects:
    """What an experiment shows.

    Attributes:
        mean: m of the model: the response in the middle of all factors.
        effects: the factors in their order, then the interactions, the largest first.
        noise_std: standard deviation of replicates, pooled; None where there are none.
        freedom: degrees of freedom of `noise_std`.
        unexplained_p: of the hypothesis that the model leaves nothing out but noise (lack of fit); small where
            interactions of three or more factors matter. None where nothing is left to test it by.
    """

    mean: float
    effects: tuple[Effect, ...]
    noise_std: float | None
    freedom: int
    unexplained_p: float | None

    @property
    def main(self) -> tuple[Effect, ...]:
        """Effects of the factors by themselves."""
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
        responses: of each design, one value for each replicate, and at least one; designs may have different numbers.

    Raises:
        ValueError: the designs are too few, or too much alike, to estimate every effect.
    """
    import numpy as np
    from scipy.special import fdtrc, stdtr, stdtrit

    columns = alias_sets(factors, levels)
    model = np.array([[1.0, *row] for row in zip(*columns.values(), strict=True)])
    replicates = np.array([len(values) for values in responses])
    means = np.array([statistics.mean(values) for values in responses])
    information = model.T @ (replicates[:, None] * model)
    if np.linalg.matrix_rank(model) < model.shape[1]:
        raise ValueError(f"{len(model)} designs cannot tell {model.shape[1] - 1} effects apart")
    covariance = np.linalg.inv(information)
    fit = covariance @ (model.T @ (replicates * means))

    freedom = int(sum(replicates - 1))
    noise = sum(statistics.variance(values) * (len(values) - 1) for values in responses if len(values) > 1)
    variance = noise / freedom if freedom else 0.0
    values = [float(2 * slope) for slope in fit[1:]]
    terms = list(columns)
    if variance == 0:  # one seed, or none that varies: they were too few, not the effects certain
        effects = [Effect(names, value) for names, value in zip(terms, values, strict=True)]
        return Effects(float(fit[0]), _ordered(effects), None, freedom, None)

    errors = [2 * math.sqrt(variance * covariance[place, place]) for place in range(1, len(fit))]
    margin = float(stdtrit(freedom, (1 + CONFIDENCE) / 2))
    p_values = [2 * float(stdtr(freedom, -abs(value) / error)) for value, error in zip(values, errors, strict=True)]
    effects = [
        Effect(names, value, value - margin * error, value + margin * error, p_value, holds)
        for names, value, error, p_value, holds in zip(terms, values, errors, p_values, holm(p_values), strict=True)
    ]
    left = len(model) - len(fit)
    unexplained = float(sum(replicates * (means - model @ fit) ** 2))
    p_left = float(fdtrc(left, freedom, unexplained / left / variance)) if left else None
    return Effects(float(fit[0]), _ordered(effects), math.sqrt(variance), freedom, p_left)


def alias_sets(factors: Sequence[str], levels: Sequence[Sequence[int]]) -> dict[tuple[Term, ...], tuple[int, ...]]:
    """Factors and two-way interactions, those together that have the same column of -1 and +1 over the designs.

    >>> list(alias_sets("ABC", [(-1, -1, 1), (1, -1, -1), (-1, 1, -1), (1, 1, 1)]))  # C = AB
    [(('A',), ('B', 'C')), (('B',), ('A', 'C')), (('C',), ('A', 'B'))]
    """
    by_column: dict[tuple[int, ...], list[Term]] = {}
    places = range(len(factors))
    for chosen in (*itertools.combinations(places, 1), *itertools.combinations(places, 2)):
        column = tuple(math.prod(row[place] for place in chosen) for row in levels)
        by_column.setdefault(column, []).append(tuple(factors[place] for place in chosen))
    return {tuple(terms): column for column, terms in by_column.items()}


def holm(p_values: Sequence[float]) -> list[bool]:
    """Which hypotheses fall when all are judged together, with a chance below 5 % that even one of them is true.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    falls = [False] * len(p_values)
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda place: p_values[place])):
        if p_values[place] > (1 - CONFIDENCE) / (len(p_values) - rank):
            break
        falls[place] = True
    return falls


def _ordered(effects: Sequence[Effect]) -> tuple[Effect, ...]:
    interactions = sorted((one for one in effects if not one.is_main), key=lambda one: -abs(one.value))
    return (*(one for one in effects if one.is_main), *interactions)
