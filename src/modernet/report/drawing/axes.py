"""Limits and ticks of axes."""

from __future__ import annotations

import math
from collections.abc import Sequence

from modernet.records import Metric

_TICKS_PER_DECADE = (
    (1.0, 2.0, 5.0),
    (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0),
    tuple(tenths / 10 for tenths in range(10, 100)),
)


def metric_limits(values: Sequence[float], metric: Metric) -> tuple[float, float]:
    """Return the ends of an axis for values of a metric: close enough to show differences, on round numbers.

    Zero is included if the lowest value is near it. Without values the axis spans the limits of the metric.
    """
    least, most = metric.limits
    if not values:
        return 0.0 if least is None else least, 1.0 if most is None else most
    low, high = min(values), max(values)
    narrowest = 0.02 * ((most - least) if least is not None and most is not None else max(abs(low), abs(high), 1e-6))
    width = max(high - low, narrowest)
    unit = _round_up(width / 8)
    start, end = math.floor((low - 0.35 * width) / unit) * unit, math.ceil((high + 0.06 * width) / unit) * unit
    if 0 <= start < 0.25 * low:
        start = 0.0
    return max(start, -math.inf if least is None else least), min(end, math.inf if most is None else most)


def log_ticks(low: float, high: float) -> list[float]:
    """Return round numbers for a logarithmic axis from `low` to `high`: as few as possible, but at least three.

    Raises:
        ValueError: `low` is not positive.
    """
    if low <= 0:
        raise ValueError(f"a logarithmic axis cannot start at {low}; give a positive number")
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in _TICKS_PER_DECADE:
        ticks = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(ticks) >= 3:
            break
    return ticks


def _round_up(value: float) -> float:
    """Return the smallest of 1, 2, 5 times a power of ten that is not below a value."""
    decade = 10.0 ** math.floor(math.log10(value))
    return next(step * decade for step in (1.0, 2.0, 5.0, 10.0) if step * decade >= value * (1 - 1e-9))
