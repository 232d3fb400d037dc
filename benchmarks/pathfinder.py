"""Compare the generator of Pathfinder with the reference of the tests, on one core of this CPU.

    uv run python benchmarks/pathfinder.py --out benchmarks/results/my-cpu-pathfinder

The reference draws one picture at a time, as the published generator does, with OpenCV and Pillow. How long a picture
takes varies by itself, as most pairs of snakes are thrown away: the intervals are over rounds of some pictures each.
"""

from __future__ import annotations

import argparse
import importlib
import os
import statistics
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from modernet import progress
from modernet.data.sequences.pathfinder.generation import pictures_per_chunk
from modernet.data.sequences.pathfinder.pictures import draw_pictures
from modernet.data.sequences.pathfinder.settings import PUBLISHED, Settings
from modernet.machine.timing import Ratio, rounds_in_turns, speed_ratio
from modernet.records import RECORD_NAME, Record, environment

TESTS = Path(__file__).parent.parent / "tests"
OURS, REFERENCE = "modernet", "reference"


def on_one_core() -> None:
    """Keep this process to one core."""
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # of Linux; for OpenCV, which has threads of its own
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def by_reference(draw: Callable[..., object], settings: Settings, n: int, rng: np.random.Generator) -> None:
    for _ in range(n):
        draw(settings, rng)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the record")
    parser.add_argument("--sides", nargs="*", type=int, choices=list(PUBLISHED), default=[32, 128])
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--pictures", type=int, default=4, help="of the reference in each round")
    options = parser.parse_args()
    on_one_core()
    sys.path.insert(0, str(TESTS))
    draw = importlib.import_module("data.sequences.reference.pathfinder").draw

    seconds: dict[str, dict[str, list[float]]] = {}
    ratios: dict[str, Ratio] = {}
    print(f"{'pictures per second':24}{OURS:>12}{REFERENCE:>12}   ratio")
    for side in options.sides:
        settings, rng, name = PUBLISHED[side], np.random.default_rng(0), f"pathfinder{side}"
        pictures = {OURS: pictures_per_chunk(settings), REFERENCE: options.pictures}
        calls: dict[str, Callable[[], object]] = {
            OURS: partial(draw_pictures, settings, pictures[OURS], rng),
            REFERENCE: partial(by_reference, draw, settings, pictures[REFERENCE], rng),
        }
        times = seconds[name] = {OURS: [], REFERENCE: []}
        with progress.shown():
            rounds = rounds_in_turns(
                calls, torch.device("cpu"), rounds=options.rounds, turn_s=0, warm_up=1, name=f"measuring {name}"
            )
            for round_ in rounds:
                for call, each in round_.items():
                    times[call].append(each / pictures[call])
        ratios[name] = ratio = speed_ratio(times[OURS], times[REFERENCE])
        paces = "".join(f"{1 / statistics.median(each):12.3g}" for each in times.values())
        print(f"{name:24}{paces}   {ratio.median:6.1f}x [{ratio.low:.1f}, {ratio.high:.1f}]", flush=True)
    if options.out is None:
        return
    metrics = {
        f"{name}, {part}": getattr(ratio, part) for name, ratio in ratios.items() for part in ("median", "low", "high")
    }
    for name, times in seconds.items():
        metrics |= {f"{name}, seconds per picture {call}": statistics.median(each) for call, each in times.items()}
    record = Record(
        kind="pathfinder",
        name="pictures of Pathfinder many at once, against one at a time",
        settings={"sides": options.sides, "rounds": options.rounds, "pictures of the reference": options.pictures},
        metrics=metrics,
        history=[
            {f"{name} {call}": each[number] for name, times in seconds.items() for call, each in times.items()}
            for number in range(options.rounds)
        ],
        environment=environment("CPU, 1 thread"),
    )
    record.write(options.out / RECORD_NAME)


if __name__ == "__main__":
    main()
