"""Choose among the ways to run a network: prepared, timed, and judged from the fastest down."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import zip_longest

from modernet.deploy.running.fidelity import HeldOut, Judge
from modernet.deploy.running.keeping import NO_TIME, Rank, Ranking, keep_costly_layers
from modernet.deploy.running.racing import Clock, prepare, race
from modernet.deploy.running.torch_ways import PLAIN
from modernet.deploy.running.way import Check, Measurement, Precision, Runner, Runtime, Way, Work
from modernet.errors import one_line

_FOR_TIMING = 0.15
"""Share of the time in which no further way is prepared."""
_FOR_KEEPING = 0.5
"""The same where layers of int8 ways may have to be kept in floating point, which needs further preparations."""
_FOR_RANKING, _MOST_RANKING_S = 0.25, 10.0  # share of the time left, and at most so many seconds


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

    Raises:
        InputError: the labels are right by chance only.
    """
    keeping = any(way.precision == "int8" for way in ways)
    running, failures, took = prepare(work, ways, check, clock, _FOR_KEEPING if keeping else _FOR_TIMING)
    speeds, stopped = race(running, work.images, clock)
    measured = {way: Measurement(way, speeds.get(way), (failures | stopped).get(way, "")) for way in ways}
    best = max((way for way in running if way.precision == "exact"), key=speeds.__getitem__)
    exact = running[best]
    for way in [way for way in running if speeds[way] < speeds[best]]:
        del running[way]  # nobody needs it, and it has weights of its own in memory
    judge = cache(lambda: Judge(exact, _given(held_out)))
    ranking = cache(lambda: _ranked(rank, work, clock))
    while True:
        way = max(running, key=speeds.__getitem__)
        if way.precision == "exact" or measured[way].judgement is not None:
            break
        judging = judge()  # what it raises is about the labels
        try:
            judgement = judging(running[way])
        except Exception as error:  # as in the race
            measured[way] = Measurement(way, None, one_line(error, with_type=True))
            del running[way]
            continue
        measured[way] = replace(measured[way], judgement=judgement)
        if not judgement.failure:
            break
        del running[way]
        if way.precision != "int8":
            continue
        ranked = NO_TIME if clock.left() <= took[way] else ranking()
        kept = ranked if isinstance(ranked, str) else keep_costly_layers(way, work, ranked, judging, clock, took[way])
        if isinstance(kept, str):
            judgement = replace(judgement, failure=f"{judgement.failure}; {kept}")
            measured[way] = replace(measured[way], judgement=judgement)
            continue
        measured[way] = replace(measured[way], judgement=kept.judgement, kept=tuple(kept.layers), without=judgement)
        if not kept.judgement.failure:
            rival = max(running, key=speeds.__getitem__)
            found, stopped = race({way: kept.runner, rival: running[rival]}, work.images, clock)
            speeds |= found
            running = {other: runner for other, runner in {**running, way: kept.runner}.items() if other not in stopped}
            measured |= {other: Measurement(other, None, failure) for other, failure in stopped.items()}
    return running[way], [
        replace(each, images_per_second=None if each.failure else speeds.get(each.way)) for each in measured.values()
    ]


def _ranked(rank: Rank, work: Work, clock: Clock) -> Ranking | str:
    """Return the ranking of the layers, in a share of the time left; one line on why there is none."""
    try:
        return rank(work, min(_MOST_RANKING_S, _FOR_RANKING * clock.left()))
    except Exception as error:  # as in the race
        return f"its layers were not ranked: {one_line(error, with_type=True)}"


def _given(held_out: HeldOut | None) -> HeldOut:
    assert held_out is not None, "reduced precision has images that judge it"
    return held_out
