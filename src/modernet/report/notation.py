"""How numbers are written, alike in the terminal, in Markdown, in charts and on the page."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.report.road import Road, RoadStep

MISSING = "–"


def digits_of(n_test: int | None) -> int:
    """Decimals of an accuracy in per cent: one picture in ten thousand is 0.01 points, in fewer it is more."""
    return 2 if n_test is not None and n_test >= 10_000 else 1


def number(value: float | None, digits: int) -> str:
    """A number with a true minus sign and thousands apart."""
    return MISSING if value is None else f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int) -> str:
    """A difference with its sign, also where it rounds to zero: the sign says on which side it lies."""
    if value is None:
        return MISSING
    return f"{value:+.{digits}f}".replace("-", "−") if value else number(value, digits)


def quantity(value: float | None) -> str:
    """A count with three digits and its prefix: `4.15G`, `25.6M`."""
    if value is None:
        return MISSING
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:#.3g}".rstrip(".") + prefix
    return f"{value:g}"


def mean_and_spread(step: RoadStep, digits: int) -> str:
    """Mean ± standard deviation over seeds; `failed` where runs failed and none finished."""
    if step.test_mean is None:
        return "failed" if step.errors else MISSING
    if step.test_std is None:
        return number(step.test_mean, digits)
    return f"{number(step.test_mean, digits)} ± {number(step.test_std, digits)}"


def interval(step: RoadStep, digits: int) -> str:
    """The interval of the difference in brackets; empty where there is none."""
    if step.delta_low is None:
        return ""
    return f"[{signed(step.delta_low, digits)}, {signed(step.delta_high, digits)}]"


def difference(step: RoadStep, digits: int) -> str:
    """The difference, its interval, and a star where the interval excludes zero."""
    if step.delta is None:
        return MISSING
    return f"{signed(step.delta, digits)} {interval(step, digits)} {'*' if step.excludes_zero else ''}".rstrip()


def seeds_in_words(steps: Sequence[RoadStep]) -> str:
    """`3 seeds`, or `1 to 3 seeds` where the steps differ; steps without a finished run do not count."""
    counts = sorted({step.seeds for step in steps if step.seeds})
    if not counts:
        return "no finished run"
    if len(counts) > 1:
        return f"{counts[0]} to {counts[-1]} seeds"
    return "1 seed" if counts == [1] else f"{counts[0]} seeds"


def place(road: Road) -> str:
    """What was walked on, in one line: size, picture size, stem stride if it tells roads apart, seeds, n, devices."""
    parts = [f"size {road.size}"]
    if road.image_size is not None:
        parts.append(f"{road.image_size}×{road.image_size} pixels")
    if road.stem_stride is not None:
        parts.append(f"stem stride {road.stem_stride}")
    parts.append(seeds_in_words(road.steps))
    if road.n_test is not None:
        parts.append(f"{number(road.n_test, 0)} test pictures")
    return " · ".join([*parts, *road.devices])
