"""Format numbers the same way in the terminal, in Markdown, in charts and on the page."""

from __future__ import annotations

import math

from modernet.records import Metric
from modernet.statistics import Interval

MISSING = "–"
NO_BREAK = "\N{NO-BREAK SPACE}"


def number(value: float | None, digits: int) -> str:
    """Format a number with a true minus sign and a thousands separator."""
    return MISSING if value is None else f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int) -> str:
    """Format a difference with its sign, also where it rounds to zero: the sign shows the direction."""
    if value is None:
        return MISSING
    return f"{value:+.{digits}f}".replace("-", "−") if value else number(value, digits)


def interval(ends: Interval | None, digits: int) -> str:
    """Format the interval of a difference: `[−0.3, +1.2]`; empty if there is none."""
    return "" if ends is None else f"[{signed(ends.low, digits)}, {signed(ends.high, digits)}]"


def quantity(value: float | None) -> str:
    """Format a count with three significant digits and an SI prefix: `4.15G`, `25.6M`."""
    if value is None:
        return MISSING
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:#.3g}".rstrip(".") + prefix
    return f"{value:g}"


def measured(value: float | None, like: float | None = None) -> str:
    """Format a measurement with three significant digits and at most four decimals; `like` sets the decimals instead.

    The limit of four decimals keeps tiny values from widening their column.
    """
    if value is None:
        return MISSING
    size = abs(value if like is None else like)
    return number(value, 2 if size == 0 else min(max(0, 2 - math.floor(math.log10(size))), 4))


def axis_title(metric: Metric, split: str) -> str:
    """Format the title of an axis: `test top-1, %`."""
    return f"{split} {metric.title}{metric.unit and f', {metric.unit}'}"


def with_unit(value: float, digits: int, unit: str) -> str:
    """Format a number with its unit: `91.2 %`."""
    return f"{number(value, digits)}{unit and f'{NO_BREAK}{unit}'}"


def in_unit(metric: Metric) -> str:
    """Format the unit of a metric after a sentence: `, in per cent`; empty if it has none."""
    return f", in {'per cent' if metric.unit == '%' else metric.unit}" if metric.unit else ""


def points(metric: Metric) -> str:
    """Return the unit of differences of a metric: percentage points for a percentage."""
    return "points" if metric.unit == "%" else metric.unit


def heading(title: str) -> str:
    """Capitalise a metric's title for a heading, unless it has capitals of its own: `Top-1`, `mIoU`."""
    return title.capitalize() if title.islower() else title


def plural(count: int, noun: str) -> str:
    """Format a count with its noun: `1 seed`, `3 seeds`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def markdown_text(text: str) -> str:
    """Escape text for a Markdown table cell: none of it is read as a cell, markup or HTML."""
    escaped = "".join(f"\\{character}" if character in "\\`*_|[]<>#~$" else character for character in text)
    return " ".join(escaped.split())
