"""Measure what people wait for at the terminal: processor seconds of short commands, in units of `import torch`.

    uv run python benchmarks/patience.py --out benchmarks/results/my-cpu-patience.json

Commands take turns, each in a process of its own; a ratio is the median over rounds of seconds divided by those of
`import torch` in the same round. About two minutes on two cores.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

import torch
from PIL import Image

from modernet import create_model, progress
from modernet.machine.timing import speed_ratio
from modernet.records import environment

IMPORT = "import torch"


def commands(folder: Path) -> dict[str, list[str]]:
    """Write a network and an image; return the commands by what they are called."""
    torch.save(create_model("convnext_test", num_classes=4).state_dict(), folder / "network.pth")
    Image.new("RGB", (320, 240), (90, 120, 60)).save(folder / "image.jpg")
    modernet = [sys.executable, "-m", "modernet"]
    predict = [
        "predict",
        "--model",
        "convnext_test",
        "--weights",
        str(folder / "network.pth"),
        str(folder / "image.jpg"),
    ]
    return {
        IMPORT: [sys.executable, "-c", IMPORT],
        "modernet --help": [*modernet, "--help"],
        "modernet models": [*modernet, "models"],
        "modernet weights 'convnext_tiny*'": [*modernet, "weights", "convnext_tiny*"],
        "modernet show convnext_tiny": [*modernet, "show", "convnext_tiny"],
        "modernet roadmap show --size tiny": [*modernet, "roadmap", "show", "--size", "tiny"],
        "modernet predict, one image": [*modernet, *predict],
    }


def cpu_seconds(command: list[str]) -> float:
    """Run a command and return the processor seconds of its process and theirs."""
    before = os.times()
    subprocess.run(command, check=True, capture_output=True)
    after = os.times()
    return after.children_user + after.children_system - before.children_user - before.children_system


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, help="JSON file of the result")
    parser.add_argument("--rounds", type=int, default=9)
    options = parser.parse_args()
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as folder, progress.shown():
        calls = commands(Path(folder))
        for command in calls.values():  # reads every file once, and compiles what Python has to
            cpu_seconds(command)
        rounds = [(name, command) for _ in range(options.rounds) for name, command in calls.items()]
        for name, command in progress.track(rounds, "timing", len(rounds)):
            seconds.setdefault(name, []).append(cpu_seconds(command))
    found = {name: asdict(speed_ratio(seconds[IMPORT], each)) for name, each in seconds.items() if name != IMPORT}
    for name, ratio in found.items():
        print(f"{name:36s} {ratio['median']:5.2f} [{ratio['low']:.2f}, {ratio['high']:.2f}] of {IMPORT}")
    device = f"CPU, {torch.get_num_threads()} threads"
    record = {"ratios": found, "cpu_seconds": seconds, "environment": environment(device)}
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
