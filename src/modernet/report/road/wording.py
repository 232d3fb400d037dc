"""Format a road and its steps as short texts."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.report import notation
from modernet.report.notation import MISSING, number, plural, signed
from modernet.report.road.summary import Road, RoadStep


def mean_and_std(step: RoadStep, digits: int) -> str:
    """Format mean ± standard deviation over seeds; `failed` if runs failed and none finished."""
    if step.test_mean is None:
        return "failed" if step.errors else MISSING
    if step.test_std is None:
        return number(step.test_mean, digits)
    return f"{number(step.test_mean, digits)} ± {number(step.test_std, digits)}"


def interval(step: RoadStep, digits: int) -> str:
    """Format the interval of the step's difference; empty if there is none."""
    return notation.interval(step.interval, digits)


def difference(step: RoadStep, digits: int) -> str:
    """Format the difference, its interval, and a star if the interval excludes zero."""
    if step.delta is None:
        return MISSING
    return f"{signed(step.delta, digits)} {interval(step, digits)} {'*' if step.excludes_zero else ''}".rstrip()


def seed_counts(steps: Sequence[RoadStep]) -> str:
    """Format `3 seeds`, or `1 to 3 seeds` if the steps differ; steps without a finished run are ignored."""
    counts = sorted({step.seeds for step in steps if step.seeds})
    if not counts:
        return "no finished run"
    return plural(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def conditions(road: Road) -> str:
    """Format the conditions of a walk in one line: size, image size, stem stride if it differs, seeds, n, devices."""
    parts = [f"size {road.size}"]
    if road.image_size is not None:
        parts.append(f"{road.image_size}×{road.image_size} pixels")
    if road.stem_stride is not None:
        parts.append(f"stem stride {road.stem_stride}")
    parts.append(seed_counts(road.steps))
    if road.n_test is not None:
        parts.append(f"{number(road.n_test, 0)} test images")
    return " · ".join([*parts, *road.devices])
