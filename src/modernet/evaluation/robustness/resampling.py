"""Shares of images in per cent and means over images, with their intervals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modernet.statistics import CONFIDENCE, Interval, wilson_interval

_RESAMPLES = 2000
_CHUNK = 4_000_000  # draws at once: 32 MB


@dataclass(frozen=True)
class Estimate:
    """A value with its confidence interval; None where all images agree, as resamples of them say nothing of others."""

    value: float
    interval: Interval | None

    def metrics(self, name: str) -> dict[str, float]:
        """Return it as metrics of a record: `name`, and `name_low` and `name_high` if it has an interval."""
        ends = {} if self.interval is None else {f"{name}_low": self.interval.low, f"{name}_high": self.interval.high}
        return {name: self.value, **ends}


def resampled_means(values: NDArray[np.float32], seed: int = 0) -> NDArray[np.float64]:
    """Return the means of columns over 2000 resamples of their rows, which are the same for all columns.

    Args:
        values: (n, m), a row an image.
        seed: of the resamples.

    Returns:
        (2000, m)

    Source: Efron, "Bootstrap methods: another look at the jackknife", The Annals of Statistics 7 (1979).
    """
    n = len(values)
    return np.concatenate([counts @ values for counts in _counts(n, seed)]).astype(np.float64) / n


def _counts(n: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield how often each of n rows is in each resample, some resamples at a time, (r, n)."""
    chance = np.random.default_rng(seed)
    most = max(_CHUNK // n, 1)
    for first in range(0, _RESAMPLES, most):
        r = min(most, _RESAMPLES - first)
        drawn = chance.integers(0, n, (r, n)) + n * np.arange(r)[:, None]
        yield np.bincount(drawn.ravel(), minlength=r * n).reshape(r, n).astype(np.float32)


def estimate(value: float, resamples: NDArray[np.float64]) -> Estimate:
    """Return a value with the percentile interval of its resamples, (2000,); without one if they are all equal."""
    if np.ptp(resamples) == 0:
        return Estimate(value, None)
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(resamples, (tail, 1 - tail)).tolist()
    return Estimate(value, Interval(low, high))


def mean_estimates(values: NDArray[np.float32]) -> list[Estimate]:
    """Return the mean of each column of values (n, m), with the interval of bootstrap over rows."""
    means = values.mean(0, dtype=np.float64).tolist()
    resamples = resampled_means(values)
    return [estimate(mean, resamples[:, column]) for column, mean in enumerate(means)]


def share_estimates(hits: NDArray[np.bool_]) -> list[Estimate]:
    """Return the share of rows that each column of hits (n, m) is true for, in per cent, with Wilson's interval."""
    estimates = []
    for share in hits.mean(0).tolist():
        interval = wilson_interval(share, len(hits))
        estimates.append(Estimate(100 * share, Interval(100 * interval.low, 100 * interval.high)))
    return estimates
