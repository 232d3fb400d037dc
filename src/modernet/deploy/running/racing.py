"""A race that picks the fastest way to run a network, in bounded time."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from modernet import progress
from modernet.deploy.running.way import Check, Runner, Way, Work
from modernet.errors import one_line
from modernet.machine.timing import seconds_of
from modernet.statistics import bootstrap_interval

_TURNS = 5
_TURN_S = 0.1


@dataclass(frozen=True)
class Clock:
    """The time for a search: `seconds` from its start."""

    seconds: float
    start: float = field(default_factory=time.monotonic)

    def left(self, reserve: float = 0.0) -> float:
        """Return the seconds left if a share of all time is reserved; negative if it is over."""
        return self.seconds * (1 - reserve) - (time.monotonic() - self.start)


def prepare(
    work: Work, ways: Sequence[Way], check: Check, clock: Clock, reserve: float
) -> tuple[dict[Way, Runner], dict[Way, str], dict[Way, float]]:
    """Prepare ways to run a network, one after another, until the time is over.

    A way is not begun if the time left is shorter than what the slowest of its kind took, so only the first of a kind,
    such as the first compilation or the first with 8-bit integers, takes longer than the time allows. But others are
    begun in any case until there is one besides the first: on a busy machine, or for a large network, that is worth
    more than the time.

    Args:
        work: what they are prepared from.
        ways: the first must work; an exception in another one excludes it.
        check: says what is wrong with a runner's results on the example.
        clock, reserve: the time, and the share of it that is for what follows.

    Returns:
        The runners, one line for each other way on why it has none, and the seconds that each begun took.
    """
    first, *others = ways
    runners, failures = {first: first.prepare(work)}, {}
    took: dict[Way, float] = {}
    with progress.bar("preparing", len(others)) as counted:
        for way in others:
            left = clock.left(reserve)
            counted.advance(0, note=f"{way}, {max(clock.left(), 0):.0f} s left")
            slowest = max((took[other] for other in took if _kind(other) == _kind(way)), default=0.0)
            if len(runners) > 1 and left <= slowest:
                failures[way] = f"not tried: too little of the {clock.seconds:g} s was left"
            else:
                try:
                    runner = way.prepare(work)
                    failure = check(runner)
                except Exception as error:  # no compiler, an unsupported operation, out of memory
                    failure = one_line(error, with_type=True)
                if failure:
                    failures[way] = failure
                else:
                    runners[way] = runner
                took[way] = left - clock.left(reserve)
            counted.advance()
    return runners, failures, took


def _kind(way: Way) -> tuple[object, ...]:
    """Return what the time to prepare a way depends on."""
    return type(way), way.precision, getattr(way, "compiled", False)


def race(runners: dict[Way, Runner], images: Tensor, clock: Clock) -> tuple[dict[Way, float], dict[Way, str]]:
    """Return the images per second of each runner on a batch, the median over its turns, or one line on what it raised.

    They take turns, so that a machine that slows down slows all alike. From the second turn on, one whose interval is
    below that of the fastest has no further turns. Everything ends after the turn in which the time is over.

    Each has been called before, but for the first: a network as it is needs no warm-up that lasts. An exception
    excludes a way, unless it is the last.

    Args:
        runners: those that raise are taken out, and so are those that are slower for certain than an exact one, but for
            the first: nobody needs them any more, and each has weights of its own in memory.
        images: `(b, c, h, w)`
        clock: the time for all of it.
    """
    times: dict[Way, list[float]] = {way: [] for way in runners}
    turn_s = min(_TURN_S, max(clock.left(), 0.0) / (_TURNS * len(runners)))
    racing, failures, exact_s = list(runners), dict[Way, str](), math.inf
    first = racing[0]
    with progress.bar("choosing", _TURNS) as counted:
        for turn in range(_TURNS):
            for way in list(racing):
                counted.advance(0, note=f"{way}, {max(clock.left(), 0):.0f} s left")
                repeats = max(1, round(turn_s / times[way][0])) if times[way] else 1
                try:
                    if turn == 0 and images.device.type == "cuda":  # CUDA graphs are recorded at the second call
                        runners[way](images)
                    times[way].append(seconds_of(partial(runners[way], images), repeats, images.device) / repeats)
                except Exception as error:
                    if len(racing) == 1:
                        raise
                    failures[way] = one_line(error, with_type=True)
                    racing.remove(way)
                    del runners[way]
            counted.advance()
            if turn > 0:
                intervals = {way: bootstrap_interval(times[way]) for way in racing}
                fastest_s = min(interval.high for interval in intervals.values())
                exact_s = min([exact_s, *(intervals[way].high for way in racing if way.precision == "exact")])
                for way in racing:
                    if way != first and intervals[way].low > exact_s:
                        del runners[way]
                racing = [way for way in racing if intervals[way].low <= fastest_s]
            if len(racing) == 1 or clock.left() <= 0:
                break
    speeds = {way: len(images) / statistics.median(of_way) for way, of_way in times.items() if way not in failures}
    return speeds, failures
