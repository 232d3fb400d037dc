"""Compare optimized networks on this CPU with timm's, eager and compiled, and with other runtimes.

    uv run --group neighbours python benchmarks/bench_cpu.py --out benchmarks/results/my-cpu

About twelve minutes on two cores. Networks take turns, and each has a folder of records. The last lines are the speeds
of ours relative to the best of the others, and to timm's in eager mode.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import torch

from modernet import progress
from modernet.benchmark.case import CHOSEN, Case
from modernet.benchmark.run import run_cases
from modernet.machine.device import check_threads
from modernet.machine.timing import Ratio, speed_ratio
from modernet.records import Record

ROOT = Path(__file__).resolve().parents[1]
BATCH, IMAGE_SIZE = 8, 224  # as benchmarks/neighbours.py exports its networks
NETWORKS = {
    "convnext_tiny": "timm:convnext_tiny",
    "swin_tiny": "timm:swin_tiny_patch4_window7_224",
    "resnet50": "timm:resnet50",
}


def cases(name: str, threads: int) -> list[Case]:
    """Return the cases of a network: timm's first, to which ratios refer, and ours last."""

    def case(model: str, layout: str, compile_mode: str) -> Case:
        return Case(model, "infer", "float32", layout, compile_mode, BATCH, IMAGE_SIZE, threads)

    return [
        case(NETWORKS[name], "channels_last", "off"),
        case(NETWORKS[name], "channels_last", "default"),
        case(f"benchmarks.neighbours:onnxruntime_{name}", "contiguous", "off"),
        case(f"benchmarks.neighbours:openvino_{name}", "contiguous", "off"),
        case(f"optimized:{name}", CHOSEN, CHOSEN),
    ]


def relative_speed(ours: Record, theirs: Record) -> Ratio:
    return speed_ratio(*([row["seconds"] for row in record.history] for record in (ours, theirs)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("networks", nargs="*", help=f"some of {', '.join(NETWORKS)}; by default all")
    parser.add_argument("--out", type=Path, required=True, help="folder for records, tables and charts")
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    for name in options.networks:
        if name not in NETWORKS:
            parser.error(f"unknown network {name!r}; give some of {', '.join(NETWORKS)}")
    folder = options.out.resolve()
    os.chdir(ROOT)  # where benchmarks.neighbours is found
    threads = check_threads(None)
    torch.set_num_threads(threads)
    lines = []
    for name in options.networks or NETWORKS:
        with progress.shown():
            records = run_cases(
                cases(name, threads), torch.device("cpu"), rounds=options.rounds, turn_s=1.0, folder=folder / name
            )
        *others, ours = records
        if ours.error is not None:
            lines.append(f"{name}: {ours.error}")
            continue
        finished = [record for record in others if record.error is None]
        best = max(finished, key=lambda record: record.metrics["images_per_second"])
        for label, theirs in (("the best of the others", best), ("timm eager", records[0])):
            ratio = relative_speed(ours, theirs)
            lines.append(
                f"{name}: {ratio.median:.2f}x [{ratio.low:.2f}, {ratio.high:.2f}] {label}"
                f" ({theirs.name} {theirs.settings['compile']})"
            )
    print("\n".join(lines))


if __name__ == "__main__":
    main()
