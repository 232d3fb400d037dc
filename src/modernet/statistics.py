"""Spreads, intervals and tests over a handful of values.

Quantiles come from `scipy.special`. `scipy.stats` has whole intervals, which the tests compare with, but it takes four
times as long to import.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

CONFIDENCE = 0.95
_RESAMPLES = 2000


@dataclass(frozen=True)
class Interval:
    """A confidence interval, at `CONFIDENCE`."""

    low: float
    high: float

    @classmethod
    def around(cls, centre: float, margin: float) -> Interval:
        """Return the interval of a symmetric distribution."""
        return cls(centre - margin, centre + margin)

    @property
    def margin(self) -> float:
        """Half of its width."""
        return (self.high - self.low) / 2

    def excludes(self, value: float) -> bool:
        """Return whether a value is outside of it."""
        return not self.low <= value <= self.high


def std(values: Sequence[float]) -> float | None:
    """Return the sample standard deviation (n − 1 in the denominator); None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def wilson_interval(share: float, n: float) -> Interval:
    """Return Wilson's confidence interval of a probability, from the share of n independent trials; all in [0, 1].

    With z the quantile of the normal distribution:

        (share + z²/2n ± z · sqrt(share · (1 − share) / n + z²/4n²)) / (1 + z²/n)

    Unlike share ± z · sqrt(share · (1 − share) / n) it has a width, and stays in [0, 1], for shares of 0 and 1 too.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", JASA 22 (1927).
    """
    z = statistics.NormalDist().inv_cdf((1 + CONFIDENCE) / 2)
    centre = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    margin = z * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2)) / (1 + z**2 / n)
    return Interval(max(centre - margin, 0.0), min(centre + margin, 1.0))


def paired_interval(both: int, only_first: int, only_second: int, n: int) -> Interval:
    """Return the confidence interval of the difference of two shares of the same n trials: the first minus the second.

    Wilson's intervals of both shares are combined, with φ the correlation of the two outcomes, whose numerator is
    corrected for continuity. It has a width even if all outcomes are equal.

    Args:
        both: trials that count for both shares.
        only_first, only_second: trials that count for one of them.
        n: all trials.

    Source: Newcombe, "Improved confidence intervals for the difference between binomial proportions based on paired
    data", Statistics in Medicine 17 (1998), method 10.
    """
    first, second, neither = both + only_first, both + only_second, n - both - only_first - only_second
    a, b = wilson_interval(first / n, n), wilson_interval(second / n, n)
    covariance = float(both * neither - only_first * only_second)
    covariance = max(covariance - n / 2, 0.0) if covariance > 0 else covariance
    spread = math.sqrt(first * (n - first) * second * (n - second))
    phi = covariance / spread if spread else 0.0

    def margin(x: float, y: float) -> float:
        return math.sqrt(max(x**2 - 2 * phi * x * y + y**2, 0.0))

    difference = (only_first - only_second) / n
    low = difference - margin(first / n - a.low, b.high - second / n)
    return Interval(low, difference + margin(a.high - first / n, second / n - b.low))


def repeated_interval(shares: Sequence[float], n: float) -> Interval:
    """Return the confidence interval of a share that was measured repeatedly on the same n trials; all in [0, 1].

    Repeats (trainings with other seeds) and trials (examples of a test split) are both samples: the margins of
    Student's interval of the mean over repeats and of Wilson's of that mean over trials are combined by their squares,
    on each side. It is slightly too wide, as what repeats and trials have in common is counted twice. One repeat says
    nothing of others: its interval is Wilson's.

    Args:
        shares: one value per repeat.
        n: trials of each.

    Source: Zou and Donner, "Construction of confidence limits about effect measures: a general approach", Statistics in
    Medicine 27 (2008).
    """
    mean = statistics.mean(shares)
    trials = wilson_interval(mean, n)
    if len(shares) < 2:
        return trials
    repeats = student_margin(statistics.stdev(shares) / math.sqrt(len(shares)), len(shares) - 1)
    low = mean - math.hypot(mean - trials.low, repeats)
    high = mean + math.hypot(trials.high - mean, repeats)
    return Interval(max(low, 0.0), min(high, 1.0))


def welch_interval(after: Sequence[float], before: Sequence[float]) -> Interval | None:
    """Return the confidence interval of mean(after) − mean(before), without assuming equal variances.

    With s² the sample variance of a side and n its size, v = s²/n and t the quantile of Student's distribution:

        difference ± t(0.975, df) · sqrt(v₁ + v₂),    df = (v₁ + v₂)² / (v₁² / (n₁ − 1) + v₂² / (n₂ − 1))

    Args:
        after, before: one value per seed; the two sides may differ in length.

    Returns:
        None if one side has fewer than two values, or if neither side varies: an interval without width would mean that
        the seeds were too few, not that the difference is certain.

    Source: Welch, "The generalization of 'Student's' problem when several different population variances are involved",
    Biometrika 34 (1947).
    """
    if len(after) < 2 or len(before) < 2:
        return None
    share_after = statistics.variance(after) / len(after)
    share_before = statistics.variance(before) / len(before)
    total = share_after + share_before
    if total == 0:
        return None
    freedom = total**2 / (share_after**2 / (len(after) - 1) + share_before**2 / (len(before) - 1))
    difference = statistics.mean(after) - statistics.mean(before)
    return Interval.around(difference, student_margin(math.sqrt(total), freedom))


def pooled_interval(
    after: Sequence[float], before: Sequence[float], groups: Sequence[Sequence[float]]
) -> Interval | None:
    """Return Student's confidence interval of mean(after) − mean(before), with one variance for all groups.

    With two seeds a group's own variance is hardly known; that of sixteen groups together is.

    Args:
        groups: the values that the variance is estimated from, usually with both sides among them.

    Returns:
        None if no group has two values that differ.
    """
    variance, freedom = pooled_variance(groups)
    if variance == 0:
        return None
    error = math.sqrt(variance * (1 / len(after) + 1 / len(before)))
    return Interval.around(statistics.mean(after) - statistics.mean(before), student_margin(error, freedom))


def pooled_variance(groups: Sequence[Sequence[float]]) -> tuple[float, int]:
    """Return the variance within groups of equal variance, and its degrees of freedom; 0 without replicates."""
    freedom = sum(len(group) - 1 for group in groups)
    squares = sum(statistics.variance(group) * (len(group) - 1) for group in groups if len(group) > 1)
    return (squares / freedom if freedom else 0.0), freedom


def student_margin(error: float, freedom: float) -> float:
    """Return half the width of Student's confidence interval for a standard error."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * error


def bootstrap_interval(
    values: Sequence[float], statistic: Callable[[Sequence[float]], float] = statistics.median, seed: int = 0
) -> Interval:
    """Return the percentile bootstrap interval of a statistic.

    `scipy.stats.bootstrap(..., method="percentile")` is the same with another generator.

    Source: Efron, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 7 (1979).
    """
    chance = random.Random(seed)
    resampled = sorted(statistic(chance.choices(values, k=len(values))) for _ in range(_RESAMPLES))
    tail = (1 - CONFIDENCE) / 2
    return Interval(resampled[round(tail * (_RESAMPLES - 1))], resampled[round((1 - tail) * (_RESAMPLES - 1))])


def holm(p_values: Sequence[float]) -> list[bool]:
    """Return which hypotheses to reject when all are judged together: the chance of even one false rejection is 5 %.

    Source: Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    rejected = [False] * len(p_values)
    for rank, index in enumerate(sorted(range(len(p_values)), key=lambda index: p_values[index])):
        if p_values[index] > (1 - CONFIDENCE) / (len(p_values) - rank):
            break
        rejected[index] = True
    return rejected
