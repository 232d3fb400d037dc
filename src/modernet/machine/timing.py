"""Time by turns: what is compared runs in rounds, A B C A B C, so that a machine that slows down slows all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from modernet import progress
from modernet.statistics import bootstrap_interval

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Ratio:
    """How many times as fast something is as something else, with the 95 % interval of the median over rounds."""

    median: float
    low: float
    high: float


def time_in_turns(
    calls: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    rounds: int = 10,
    turn_s: float = 0.25,
    warm_up: int = 2,
    name: str = "timing",
) -> dict[str, list[float]]:
    """Seconds that one call takes, measured once a round for each: `rounds_in_turns`, gathered by call."""
    found: dict[str, list[float]] = {key: [] for key in calls}
    for seconds in rounds_in_turns(calls, device, rounds=rounds, turn_s=turn_s, warm_up=warm_up, name=name):
        for key, value in seconds.items():
            found[key].append(value)
    return found


def rounds_in_turns(
    calls: Mapping[str, Callable[[], object]],
    device: torch.device,
    *,
    rounds: int = 10,
    turn_s: float = 0.25,
    warm_up: int = 2,
    name: str = "timing",
) -> Iterator[dict[str, float]]:
    """Yield the seconds that one call of each takes, round by round, so that finished rounds survive Ctrl-C.

    Warm-up first, then every call has its turn in every round: as many repetitions as fill `turn_s`, at least one. On
    a GPU the time between two events of the device, on a CPU the clock's.

    Args:
        calls: what to time, by name; each does its work on `device`.
        rounds: how many turns each has; 5 or more for an interval worth its name.
        turn_s: length of a turn in seconds.
        warm_up: calls before anything is timed.
        name: what the progress line says.
    """
    repeats: dict[str, int] = {}
    with progress.bar(name, len(calls) * (rounds + 1)) as counted:
        for key, call in calls.items():
            for _ in range(warm_up):
                call()
            once = seconds_of(call, 1, device)
            repeats[key] = max(1, round(turn_s / max(once, 1e-6)))
            counted.advance(note=f"warming up {key}")
        for _ in range(rounds):
            seconds = {}
            for key, call in calls.items():
                seconds[key] = seconds_of(call, repeats[key], device) / repeats[key]
                counted.advance(note=key)
            yield seconds


def seconds_of(call: Callable[[], object], repeats: int, device: torch.device) -> float:
    """Seconds for `repeats` calls in a row, by the device's own clock where it has one."""
    if device.type != "cuda":
        start = time.perf_counter()
        for _ in range(repeats):
            call()
        return time.perf_counter() - start

    import torch

    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    with torch.cuda.device(device):
        begin.record()
        for _ in range(repeats):
            call()
        end.record()
    end.synchronize()
    return float(begin.elapsed_time(end)) / 1e3


def speed_ratio(times: Sequence[float], baseline: Sequence[float], seed: int = 0) -> Ratio:
    """How many times as fast as the baseline: the median over rounds of the ratio within each round.

    Rounds are pairs, since both had their turn in it. The interval is the 95 % percentile bootstrap over rounds
    (Efron 1979).

    Args:
        times, baseline: seconds a call, a number for each round, of the same rounds.
    """
    if len(times) != len(baseline) or not times:
        raise ValueError(f"{len(times)} and {len(baseline)} rounds; ratios need the same rounds of both, at least one")
    ratios = [before / after for after, before in zip(times, baseline, strict=True)]
    interval = bootstrap_interval(ratios, seed=seed)
    return Ratio(statistics.median(ratios), interval.low, interval.high)
