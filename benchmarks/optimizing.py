"""Measure how long `modernet.optimize` takes with its defaults, and how long to load what it saved.

    uv run --group neighbours python benchmarks/optimizing.py --out benchmarks/results/my-cpu-optimizing

Each runs in a process of its own: `optimize` with an empty cache of compiled programs, where the call is timed, and
loading in turns with `import torch`, where the process is timed from its start to its end.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import torch

from modernet import create_model, optimize, progress
from modernet.machine.device import check_threads, describe
from modernet.machine.timing import rounds_in_turns, speed_ratio
from modernet.records import RECORD_NAME, Record, environment

CPU = torch.device("cpu")
IMPORT = "import torch"
LOAD = "import modernet, sys; modernet.load_optimized(sys.argv[1])"


def run(*arguments: str, **environment: str) -> str:
    """Run Python and return what it printed."""
    done = subprocess.run(
        [sys.executable, *arguments], env=os.environ | environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return done.stdout


def choose(model: str, batch: int, precision: str, folder: Path) -> None:
    """Optimize a network of random weights, save it, and print the seconds of both."""
    torch.set_num_threads(check_threads(None))
    torch.manual_seed(0)
    network = create_model(model).eval()
    images = torch.randn(batch if precision == "exact" else 64, 3, 224, 224)
    start = time.perf_counter()
    # the answers of an untrained network are not judged
    judged = {} if precision == "exact" else {"precision": precision, "agreement": 1e-6, "batch": batch}
    fast = optimize(network, images, **judged)
    chosen = time.perf_counter()
    fast.save(folder)
    print(chosen - start, time.perf_counter() - chosen)


def measure_optimizing(model: str, batch: int, rounds: int = 5) -> Record:
    """Measure in processes of their own."""
    metrics: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as made:
        saved = {precision: Path(made) / precision for precision in ("exact", "auto")}
        for precision, folder in progress.track(saved.items(), "optimizing", len(saved)):
            step = ["--choose", model, str(batch), precision, str(folder)]
            seconds = run(__file__, *step, TORCHINDUCTOR_CACHE_DIR=str(Path(made) / f"cache-{precision}"))
            metrics[f"seconds of optimize: {precision}"], metrics[f"seconds to save: {precision}"] = map(
                float, seconds.split()
            )
        calls = {IMPORT: partial(run, "-c", IMPORT)}
        calls |= {f"load: {key}": partial(run, "-c", LOAD, str(folder)) for key, folder in saved.items()}
        history = list(rounds_in_turns(calls, CPU, rounds=rounds, turn_s=0.0, warm_up=1, name="loading"))
    times = {key: [row[key] for row in history] for key in calls}
    metrics |= {f"seconds: {key}": statistics.median(values) for key, values in times.items()}
    for key in list(calls)[1:]:
        ratio = speed_ratio(times[IMPORT], times[key])
        ends = {"": ratio.median, ", low": ratio.low, ", high": ratio.high}
        metrics |= {f"times {IMPORT}: {key}{end}": value for end, value in ends.items()}
    return Record(
        kind="optimizing",
        name=f"{model}, batch {batch}",
        settings={"model": model, "batch": batch, "rounds": rounds},
        metrics=metrics,
        history=history,
        environment=environment(describe(CPU, check_threads(None))),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, help="folder for the record")
    parser.add_argument("--model", default="convnext_tiny")
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--choose", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.choose:
        model, batch, precision, folder = options.choose
        choose(model, int(batch), precision, Path(folder))
        return
    if options.out is None:
        parser.error("--out is missing: give the folder for the record")
    with progress.shown():
        record = measure_optimizing(options.model, options.batch)
    record.write(options.out / RECORD_NAME)
    print("\n".join(f"{value:8.2f}  {key}" for key, value in record.metrics.items()))


if __name__ == "__main__":
    main()
