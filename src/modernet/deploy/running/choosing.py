"""Choose among the ways to run a network: prepared, timed, and judged from the fastest down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import zip_longest

from modernet.deploy.running.fidelity import HeldOut, Judge
from modernet.deploy.running.racing import Clock, prepare, race
from modernet.deploy.running.torch_ways import PLAIN
from modernet.deploy.running.way import Check, Measurement, Precision, Runner, Runtime, Way, Work

_FOR_TIMING = 0.15
"""Share of the time in which no further way is prepared."""


def ways_of(runtimes: Sequence[Runtime], work: Work, precisions: Sequence[Precision]) -> list[Way]:
    """Return the ways to run a network: the plain one, the most promising of each precision and runtime, and so on."""
    columns = [runtime.ways(work, precision) for precision in precisions for runtime in runtimes]
    ways = [way for row in zip_longest(*columns) for way in row if way is not None]
    return [PLAIN, *(way for way in ways if way != PLAIN)]


def choose(
    work: Work, ways: Sequence[Way], check: Check, held_out: HeldOut | None, clock: Clock
) -> tuple[Runner, list[Measurement]]:
    """Prepare and time a network in several ways, and keep the fastest that is exact or judged faithful.

    Args:
        work: the network, and the images for the timing.
        ways: ways to run it. The first is exact and must work; an exception in another one excludes it.
        check: says what is wrong with a runner's results on the images for the timing.
        held_out: images that judge reduced precision; None if all ways are exact.
        clock: the time for all of it. What has begun is finished, and a judgement that is needed always begins.

    Returns:
        The runner chosen, and a measurement of each way.
    """
    runners, failures = prepare(work, ways, check, clock, _FOR_TIMING)
    speeds = race(runners, work.images, clock)
    measured = {way: Measurement(way, speeds.get(way), failures.get(way, "")) for way in ways}
    by_speed = sorted(runners, key=speeds.__getitem__, reverse=True)
    exact = next(way for way in by_speed if way.precision == "exact")
    judge: Judge | None = None
    for way in by_speed[: by_speed.index(exact)]:
        assert held_out is not None, "reduced precision has images that judge it"
        judge = Judge(runners[exact], held_out) if judge is None else judge
        judgement = judge(runners[way])
        measured[way] = replace(measured[way], judgement=judgement)
        if not judgement.failure:
            return runners[way], list(measured.values())
    return runners[exact], list(measured.values())
