"""Summarise what a road shows in a few sentences, which claim no more than its intervals allow."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.report.notation import number, plural, points, signed, with_unit
from modernet.report.road.summary import Road, RoadStep
from modernet.report.road.wording import seed_counts
from modernet.statistics import welch_interval


def findings(road: Road) -> str:
    """Return sentences computed from the numbers: both ends, the steps whose interval excludes zero, failures."""
    digits = road.digits
    return " ".join(filter(None, (_ends(road, digits), _steps(road, digits), _failures(road))))


def _ends(road: Road, digits: int) -> str:
    finished = [step for step in road.adopted if step.test_mean is not None]
    if not finished:
        return "No step of the road has a finished run."
    first, last = finished[0], finished[-1]
    assert first.test_mean is not None
    assert last.test_mean is not None
    n = "" if road.n_test is None else f", {number(road.n_test, 0)} test images"
    start, end = (with_unit(mean, digits, road.metric.unit) for mean in (first.test_mean, last.test_mean))
    metric = f"test {road.metric.title}"
    if first is last:
        return f"{first.title} reaches {start} {metric} ({seed_counts([first])}{n})."
    unit = f" {points(road.metric)}".rstrip()
    text = (
        f"From {first.title} to {last.title}, mean {metric} goes from {start} to {end} "
        f"({seed_counts([first, last])}{n}): {signed(last.test_mean - first.test_mean, digits)}{unit}"
    )
    whole = welch_interval(last.test_scores, first.test_scores)
    if whole is None:
        return f"{text}. With so few seeds there is no interval for it."
    ends = f"from {signed(whole.low, digits)} to {signed(whole.high, digits)}"
    text += f", with a {with_unit(95, 0, '%')} interval {ends}"
    if whole.excludes(0):
        return f"{text}."
    return f"{text}, which includes zero: these runs do not show that the two ends differ."


def _steps(road: Road, digits: int) -> str:
    compared = [step for step in road.steps if step.delta is not None]
    if not compared:
        return ""
    judged = [step for step in compared if step.interval is not None]
    clear = [step for step in judged if step.excludes_zero]
    sentences = []
    if not judged:
        sentences.append(
            "No step can be judged by itself: an interval needs two finished seeds that vary on either side."
        )
    elif not clear:
        sentences.append(
            f"Of {plural(len(judged), 'step')} with an interval, none excludes zero: "
            "these runs do not show that any single step helps or harms."
        )
    else:
        named = ", ".join(f"{step.title} ({signed(step.delta, digits)})" for step in clear)
        sentences.append(
            f"Of {plural(len(judged), 'step')} with an interval, {len(clear)} "
            f"{'differs' if len(clear) == 1 else 'differ'} from the adopted step before: {named}."
        )
        if len(clear) < len(judged):
            sentences.append(
                "For the rest the interval includes zero: these runs do not show whether they help or harm."
            )
    if judged and len(judged) < len(compared):
        sentences.append(f"{plural(len(compared) - len(judged), 'step')} had too few seeds for an interval.")
    return " ".join(sentences)


def _failures(road: Road) -> str:
    failed = [step for step in road.steps if step.errors]
    if not failed:
        return ""
    return f"Runs failed at {_listed(failed)}."


def _listed(steps: Sequence[RoadStep]) -> str:
    return ", ".join(f"{step.title} ({len(step.errors)} of {len(step.errors) + step.seeds})" for step in steps)
