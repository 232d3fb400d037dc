"""Means, spreads and intervals over a handful of seeds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

CONFIDENCE = 0.95


def spread(values: Sequence[float]) -> float | None:
    """The sample standard deviation (n − 1 in the denominator); None for fewer than two values."""
    return statistics.stdev(values) if len(values) > 1 else None


def welch_interval(after: Sequence[float], before: Sequence[float]) -> tuple[float, float] | None:
    """The 95 % confidence interval of mean(after) − mean(before), without assuming that both vary alike.

    With s² the sample variance of a side and n its size, v = s²/n and t the quantile of Student's distribution:

        difference ± t(0.975, df) · sqrt(v₁ + v₂),    df = (v₁ + v₂)² / (v₁² / (n₁ − 1) + v₂² / (n₂ − 1))

    Args:
        after, before: one value a seed; the two sides may differ in length.

    Returns:
        The lower and the upper end; None where one side has fewer than two values, or where neither side varies at all:
        an interval without width would say that the seeds were too few, not that the difference is certain.

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

    from scipy.special import stdtrit

    freedom = total**2 / (share_after**2 / (len(after) - 1) + share_before**2 / (len(before) - 1))
    margin = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(total)
    difference = statistics.mean(after) - statistics.mean(before)
    return difference - margin, difference + margin
