"""What a road shows, in plain words: no more than its intervals allow."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.report.notation import digits_of, number, signed
from modernet.report.road.summary import Road, RoadStep
from modernet.report.road.wording import seed_counts
from modernet.report.statistics import welch_interval


def findings(road: Road) -> str:
    """A few sentences computed from the numbers: both ends, the steps whose interval excludes zero, what failed."""
    digits = digits_of(road.n_test)
    return " ".join(filter(None, (_ends(road, digits), _steps(road, digits), _failures(road))))


def _ends(road: Road, digits: int) -> str:
    finished = [step for step in road.adopted if step.test_mean is not None]
    if not finished:
        return "No step of the road has a finished run."
    first, last = finished[0], finished[-1]
    assert first.test_mean is not None
    assert last.test_mean is not None
    n = "" if road.n_test is None else f", {number(road.n_test, 0)} test images"
    start, end = _percent(first.test_mean, digits), _percent(last.test_mean, digits)
    if first is last:
        return f"{first.title} reaches {start} test top-1 ({seed_counts([first])}{n})."
    text = (
        f"From {first.title} to {last.title}, mean test top-1 goes from {start} to {end} "
        f"({seed_counts([first, last])}{n}): {signed(last.test_mean - first.test_mean, digits)} points"
    )
    whole = welch_interval(last.test_top1, first.test_top1)
    if whole is None:
        return f"{text}. With so few seeds there is no interval for it."
    text += f", with a {_percent(95, 0)} interval from {signed(whole[0], digits)} to {signed(whole[1], digits)}"
    if whole[0] * whole[1] > 0:
        return f"{text}."
    return f"{text}, which includes zero: these runs do not show that the two ends differ."


def _steps(road: Road, digits: int) -> str:
    compared = [step for step in road.steps if step.delta is not None]
    if not compared:
        return ""
    judged = [step for step in compared if step.delta_low is not None]
    clear = [step for step in judged if step.excludes_zero]
    sentences = []
    if not judged:
        sentences.append(
            "No step can be judged by itself: an interval needs two finished seeds that vary on either side."
        )
    elif not clear:
        sentences.append(
            f"Of {_steps_in_words(len(judged))} with an interval, none excludes zero: "
            "these runs do not show that any single step helps or harms."
        )
    else:
        named = ", ".join(f"{step.title} ({signed(step.delta, digits)})" for step in clear)
        sentences.append(
            f"Of {_steps_in_words(len(judged))} with an interval, {len(clear)} "
            f"{'differs' if len(clear) == 1 else 'differ'} from the adopted step before: {named}."
        )
        if len(clear) < len(judged):
            sentences.append(
                "For the rest the interval includes zero: these runs do not show whether they help or harm."
            )
    if judged and len(judged) < len(compared):
        sentences.append(
            f"{_steps_in_words(len(compared) - len(judged)).capitalize()} had too few seeds for an interval."
        )
    return " ".join(sentences)


def _failures(road: Road) -> str:
    failed = [step for step in road.steps if step.errors]
    if not failed:
        return ""
    return f"Runs failed at {_listed(failed)}."


def _listed(steps: Sequence[RoadStep]) -> str:
    return ", ".join(f"{step.title} ({len(step.errors)} of {len(step.errors) + step.seeds})" for step in steps)


def _percent(value: float, digits: int) -> str:
    return f"{number(value, digits)}\N{NO-BREAK SPACE}%"


def _steps_in_words(count: int) -> str:
    return "one step" if count == 1 else f"{count} steps"
