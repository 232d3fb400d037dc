"""Timing in turns: what is compared runs in rounds, A B C A B C, so that a slower machine slows all equally."""

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
    """A speed relative to another, with the 95 % interval of the median over rounds."""

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
    """Return the seconds per call in each round, by name; see `rounds_in_turns`."""
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
    """Yield the seconds per call by name, round by round, so that finished rounds survive Ctrl-C.

    After the warm-up, every call has a turn in every round: as many repetitions as fill `turn_s`, at least one. Times
    are from CUDA events on a GPU, and from the clock elsewhere.

    Args:
        calls: what to time, by name; each does its work on `device`.
        rounds: turns of each call; intervals need 5 or more.
        turn_s: length of a turn in seconds.
        warm_up: calls of each before anything is timed.
        name: label of the progress bar.
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
    """Return the seconds of `repeats` consecutive calls, from CUDA events on a GPU."""
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
    """Return the speed relative to the baseline: the median over rounds of the ratio within each round.

    Rounds are pairs, since both have a turn in each. The interval is the 95 % percentile bootstrap over rounds
    (Efron 1979).

    Args:
        times, baseline: seconds per call, one number per round, of the same rounds.
    """
    if len(times) != len(baseline) or not times:
        raise ValueError(f"{len(times)} and {len(baseline)} rounds; ratios need the same rounds of both, at least one")
    ratios = [before / after for after, before in zip(times, baseline, strict=True)]
    interval = bootstrap_interval(ratios, seed=seed)
    return Ratio(statistics.median(ratios), interval.low, interval.high)
