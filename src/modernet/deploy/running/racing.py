"""A short measurement that picks the fastest way to run a network."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from modernet import progress
from modernet.deploy.running.way import Check, Measurement, Runner, Way, Work
from modernet.errors import one_line
from modernet.machine.timing import time_in_turns

_ROUNDS = 5


def pick_fastest(work: Work, ways: Sequence[Way], check: Check, seconds: float) -> tuple[Runner, list[Measurement]]:
    """Time a network in several ways, interleaved, and keep the fastest.

    Args:
        work: the network, and the images for the timing.
        ways: ways to run it. The first must work; an exception in another one excludes it.
        check: says what is wrong with a runner's results.
        seconds: total time for timing, excluding warm-up and compilation.

    Returns:
        The fastest runner, and a measurement of each way.
    """
    plain, *others = ways
    runners = {plain: plain.prepare(work)}
    failures: dict[Way, str] = {}
    with progress.bar("preparing", len(others)) as counted:
        for way in others:
            counted.advance(0, note=str(way))
            try:
                runner = way.prepare(work)
                failure = check(runner)
            except Exception as error:  # no compiler, an unsupported operation, out of memory
                failure = one_line(error, with_type=True)
            if failure:
                failures[way] = failure
            else:
                runners[way] = runner
            counted.advance()
    images = work.images
    calls: Mapping[str, Callable[[], object]] = {str(way): partial(runner, images) for way, runner in runners.items()}
    turn_s = seconds / (_ROUNDS * len(calls))
    times = time_in_turns(calls, images.device, rounds=_ROUNDS, turn_s=turn_s, name="choosing")
    speeds = {way: len(images) / statistics.median(times[str(way)]) for way in runners}
    fastest = max(runners, key=speeds.__getitem__)
    return runners[fastest], [Measurement(way, speeds.get(way), failures.get(way, "")) for way in ways]
