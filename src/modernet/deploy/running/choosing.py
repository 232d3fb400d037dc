"""Choose among the ways to run a network: prepared, timed, and judged from the fastest down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import zip_longest

from modernet.deploy.running.fidelity import HeldOut, Judge
from modernet.deploy.running.keeping import NO_TIME, Rank, keep_costly_layers
from modernet.deploy.running.racing import Clock, prepare, race
from modernet.deploy.running.torch_ways import PLAIN
from modernet.deploy.running.way import Check, Measurement, Precision, Runner, Runtime, Way, Work

_FOR_TIMING = 0.15
"""Share of the time in which no further way is prepared."""
_FOR_KEEPING = 0.5
"""The same where layers of int8 ways may have to be kept in floating point, which needs further preparations."""


def ways_of(runtimes: Sequence[Runtime], work: Work, precisions: Sequence[Precision]) -> list[Way]:
    """Return the ways to run a network: the plain one, the most promising of each runtime and precision, and so on."""
    columns = [runtime.ways(work, precision) for runtime in runtimes for precision in precisions]
    ways = [way for row in zip_longest(*columns) for way in row if way is not None]
    return [PLAIN, *(way for way in ways if way != PLAIN)]


def choose(
    work: Work, ways: Sequence[Way], check: Check, held_out: HeldOut | None, clock: Clock, rank: Rank
) -> tuple[Runner, list[Measurement]]:
    """Prepare and time a network in several ways, and keep the fastest that is exact or judged faithful.

    An int8 way that is refused is prepared again with its costliest layers in floating point. If it is accepted then,
    it races again with the fastest other one.

    Args:
        work: the network, and the images for the timing.
        ways: ways to run it. The first is exact and must work; an exception in another one excludes it.
        check: says what is wrong with a runner's results on the images for the timing.
        held_out: images that judge reduced precision; None if all ways are exact.
        clock: the time for all of it. What has begun is finished, and a judgement that is needed always begins.
        rank: finds the layers that cost most in int8.

    Returns:
        The runner chosen, and a measurement of each way.
    """
    keeping = any(way.precision == "int8" for way in ways)
    runners, failures = prepare(work, ways, check, clock, _FOR_KEEPING if keeping else _FOR_TIMING)
    speeds = race(runners, work.images, clock)
    measured = {way: Measurement(way, None, failures.get(way, "")) for way in ways}
    exact = max((way for way in runners if way.precision == "exact"), key=speeds.__getitem__)
    judge = cache(lambda: Judge(runners[exact], _given(held_out)))
    ranking = cache(lambda: rank(work))
    while True:
        way = max(runners, key=speeds.__getitem__)
        if way.precision == "exact" or measured[way].judgement is not None:
            break
        judgement = judge()(runners[way])
        measured[way] = replace(measured[way], judgement=judgement)
        if not judgement.failure:
            break
        del runners[way]
        if way.precision != "int8":
            continue
        kept = keep_costly_layers(way, work, ranking(), judge(), clock) if clock.left() > 0 else NO_TIME
        if isinstance(kept, str):
            judgement = replace(judgement, failure=f"{judgement.failure}; {kept}")
            measured[way] = replace(measured[way], judgement=judgement)
            continue
        measured[way] = replace(measured[way], judgement=kept.judgement, kept=tuple(kept.layers), without=judgement)
        if not kept.judgement.failure:
            rival = max(runners, key=speeds.__getitem__)
            runners[way] = kept.runner
            speeds |= race({way: kept.runner, rival: runners[rival]}, work.images, clock)
    return runners[way], [replace(each, images_per_second=speeds.get(each.way)) for each in measured.values()]


def _given(held_out: HeldOut | None) -> HeldOut:
    assert held_out is not None, "reduced precision has images that judge it"
    return held_out
