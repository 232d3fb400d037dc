"""Keep the layers in floating point that cost most as 8-bit integers, until a network in int8 is accepted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from modernet import progress
from modernet.deploy.running.fidelity import Judge, Judgement
from modernet.deploy.running.racing import Clock
from modernet.deploy.running.way import Runner, Way, Work
from modernet.errors import one_line

Ranking = Sequence[tuple[str, float]]
"""Layers of a network and what each alone costs with 8-bit integers, the costliest first."""
Rank = Callable[[Work, float], Ranking]
"""Ranks the layers of a network, in about so many seconds."""
NO_TIME = "no time was left to keep costly layers in floating point: give more seconds"


@dataclass(frozen=True)
class Kept:
    """A network in int8 with some layers in floating point.

    Attributes:
        runner: runs it.
        judgement: of it.
        layers: those in floating point.
    """

    runner: Runner
    judgement: Judgement
    layers: Ranking


def keep_costly_layers(way: Way, work: Work, ranking: Ranking, judge: Judge, clock: Clock, took: float) -> Kept | str:
    """Keep the 1, 2, 4, 8, ... costliest layers in floating point, until the judge accepts or the time is over.

    Args:
        way: runs the network in int8.
        work: what it is prepared from.
        ranking: of all layers.
        judge: of the results.
        clock: a preparation begins if the last one would fit into the time left, and is then finished.
        took: seconds that the way took to prepare with all layers in int8.

    Returns:
        The last network that ran, whether it was accepted or not; one line on why there is none.
    """
    if len(ranking) < 2:
        return "it has too few layers to keep some in floating point"
    found: Kept | None = None
    number = 1
    with progress.bar("keeping layers in floating point", None) as counted:
        while number < len(ranking) and clock.left() > took:
            counted.advance(0, note=f"{way}, {number} of {len(ranking)} layers, {clock.left():.0f} s left")
            layers = tuple(ranking[:number])
            left = clock.left()
            try:
                runner = way.prepare(replace(work, kept=frozenset(name for name, _ in layers)))
                took = left - clock.left()
                found = Kept(runner, judge(runner), layers)
            except Exception as error:  # as in the race
                return found or one_line(error, with_type=True)
            if not found.judgement.failure:
                break
            counted.advance()
            number *= 2
    return found or NO_TIME
