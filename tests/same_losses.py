"""The losses of two dozen short trainings, bit for bit: the proof that a refactoring changed no arithmetic.

    uv run python tests/same_losses.py                   compare with tests/same_losses.json
    uv run python tests/same_losses.py --check FILE      compare with another file
    uv run python tests/same_losses.py --record FILE     write the losses of this tree

Run it before and after a change that should not change a result. It trains with the `modernet` of the Python that runs
it, so `OTHER/.venv/bin/python same_losses.py --check FILE` checks another tree. It exits with 1 if a loss or an
accuracy moved by a single bit, and names those that did; with 2 if a run failed. A check takes about a minute on two
cores.

Bits are comparable only on the same CPU model with the same versions of torch and of the libraries that decode and
augment. The file holds the environment in which it was recorded; in another one a check says so, and its differences
may mean nothing: record the old tree there, and check the new one against that. A change that moves losses on purpose
records the file again and says why in its commit message.

The committed file was recorded at 3d9728f, before runs became task-blind, except for the validation losses of the bf16
and fp16 runs, which have been computed in float32 since.

Only the command line and `record.json` are used, so the script outlives what it checks. Batch sizes do not divide the
training splits: the last two batches of an epoch are smaller, and their micro-batches uneven. Sizes were chosen at
which the order of operations shows: in float32 41 * (1 / 41) is not 1, and 6 * (1 / 29) is not 6 / 29.

Every command runs in a process of its own, forked from one that has imported torch and the other libraries, but nothing
of modernet; importing them again for each command would take most of the time.
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import multiprocessing
import os
import platform
import runpy
import shutil
import socket
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from importlib.metadata import version
from multiprocessing.context import ForkProcess
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

COMMITTED = Path(__file__).with_suffix(".json")
LANES = 2  # commands at a time
THREADS = 1  # of each command
TIMEOUT_S = 600.0
INTERRUPTED = 130  # exit code of a training that was asked to stop
COMPARED = ("loss", "top1", "top5")  # what the names of losses and accuracies end with
LIBRARIES = ("torch", "torchvision", "timm", "numpy", "pillow", "simplejpeg", "scikit-learn")
PRELOADED = ("torch", "torchvision", "timm.data", "timm.loss")

Numbers = dict[str, float]
Losses = dict[str, Numbers]
"""Run -> `epoch 1 train_loss`, ... and `test_loss`, ... -> value."""


@dataclass(frozen=True)
class Command:
    """`modernet ARGUMENTS`.

    Attributes:
        name: of its output files.
        processes: how many run it together, in the environment that torchrun gives them.
        stop_once: send SIGTERM as soon as this file has contents.
        weights: copy this file to `weights.safetensors` first, so that they are a file and not a run.
    """

    name: str
    arguments: list[str]
    processes: int = 1
    stop_once: str = ""
    weights: str = ""


# --- what is run -----------------------------------------------------------------------------------------------------


def train(name: str, *options: str, processes: int = 1, weights: str = "") -> Command:
    return Command(name, ["train", *options, "--out", name], processes, weights=weights)


# fmt: off
CONVNEXT = ["--model", "convnext_test", "--model-fields", "stem_stride=2", "layer_scale_init=0.1"]
RESNET = ["--model", "resnet_test"]  # has batch norms
QUICK = ["--recipe", "quick"]  # or the data would choose
SQUARES = [*QUICK, "--data", "squares", "--epochs", "2", "--batch-size", "30"]  # kept in memory
CROPS = [*QUICK, "--epochs", "2", "--batch-size", "22", "--image-size", "32", "--crop-scale", "0.4"]  # cut out of files
MIX = ["--mixup", "0.8", "--cutmix", "1.0"]
FIFTHS = ["--device-batch", "6"]
ROAD = ["roadmap", *SQUARES, "--size", "nano", "--seeds", "1", "--workers", "1"]
# what a checkpoint must hold: moments, the average of the weights, and the place in every stream of random numbers
STATEFUL = [
    *CONVNEXT, *QUICK, "--data", "squares", "--epochs", "8", "--batch-size", "30", *FIFTHS, "--ema-decay", "0.9",
    "--drop-path", "0.2", "--dropout", "0.1", "--erasing", "0.3", "--cutmix", "1.0", "--mix-prob", "0.5",
]

# each list in order; the lists side by side
CHAINS: list[list[Command]] = [
    [
        train("memory", *CONVNEXT, *QUICK, "--data", "digit_scenes", "--epochs", "1", "--batch-size", "110"),
        train(
            "fine_tuning", *CONVNEXT, *SQUARES, *FIFTHS, "--weights", "weights.safetensors",
            "--layer-decay", "0.8", "--head-init-scale", "0.001", "--drop-path", "0.1",
            weights="memory/model.safetensors",
        ),
    ],
    [
        train(
            "disk", *CONVNEXT, *CROPS, "--data", "photos", "--rand-augment", "rand-m9-mstd0.5-inc1", "--flip", "0.5",
            "--erasing", "0.25", "--interpolation", "bicubic", "--test-crop", "0.875",
        ),
        Command("evaluate", ["evaluate", "disk", "--data", "photos", "--batch-size", "5", "--json"]),
    ],
    [
        Command("pack", ["data", "pack", "photos", "shards"]),
        train("shards", "--model", "convnextv2_test", *CROPS, "--data", "shards"),
    ],
    [
        Command("stopped", ["train", *STATEFUL, "--out", "stopped"], stop_once="stopped/metrics.jsonl"),
        Command("resumed", ["train", *STATEFUL, "--out", "stopped", "--resume"]),
    ],
    [train("stateful", *STATEFUL)],
    [Command("walk", [*ROAD, "--steps", "0,13", "--out", "walk"])],
    [Command("factorial", [*ROAD, "--study", "factorial", "--decisions", "gelu,layer_norm", "--out", "factorial"])],
    [train("two_processes", *RESNET, *SQUARES, "--batch-size", "26", processes=2)],
    [train(
        "two_processes_accumulated", *CONVNEXT, *SQUARES, "--batch-size", "28", "--device-batch", "7",
        "--drop-path", "0.2", processes=2,
    )],
    [train(
        "two_processes_sharded", *CONVNEXT, *SQUARES, "--batch-size", "26", "--shard", "--ema-decay", "0.9",
        processes=2,
    )],
    [train(
        "batch_norm", *RESNET, *SQUARES, "--batch-size", "41", "--optimizer", "sgd", "--lr", "0.05", "--decay", "step",
        "--seed", "3",
    )],
    [train(
        "disk_color_jitter", *RESNET, *CROPS, "--data", "photos", "--color-jitter", "0.4", "--repeats", "2",
        "--device-batch", "11",
    )],
    [train("mixing", *CONVNEXT, *SQUARES, *MIX, "--label-smoothing", "0.1")],
    [train("mixing_accumulated", *CONVNEXT, *SQUARES, *MIX, *FIFTHS, "--mix-mode", "elem")],
    [train("bce", *CONVNEXT, *SQUARES, *FIFTHS, "--loss", "bce")],
    [train("bce_mixed", *CONVNEXT, *SQUARES, *MIX, "--loss", "bce", "--bce-threshold", "0.2", "--optimizer", "lamb")],
    [train("ema", *RESNET, *SQUARES, "--ema-decay", "0.9")],
    [train("accumulation", *CONVNEXT, *SQUARES, *FIFTHS, "--clip-grad", "1.0")],
    [train("accumulation_batch_norm", *RESNET, *SQUARES, *FIFTHS, "--clip-grad", "0.1", "--clip-mode", "agc")],
    [train("bf16", *CONVNEXT, *SQUARES, "--precision", "bf16")],
    [train("fp16", *CONVNEXT, *SQUARES, *FIFTHS, "--precision", "fp16")],
    [train(
        "regularised", *CONVNEXT, *SQUARES, *FIFTHS, "--drop-path", "0.3", "--dropout", "0.2",
        "--head-init-scale", "0.5", "--layer-decay", "0.7", "--label-smoothing", "0.2",
    )],
    [train("checkpointing", *CONVNEXT, *SQUARES, "--drop-path", "0.3", "--checkpointing")],
]
# fmt: on


class RunFailed(Exception):
    """A command did not end as it should; the message holds its output."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    wanted = parser.add_mutually_exclusive_group()
    wanted.add_argument("--record", type=Path, metavar="FILE", help="write the losses of this tree")
    wanted.add_argument("--check", type=Path, metavar="FILE", default=COMMITTED, help="compare with these losses")
    options = parser.parse_args()
    recorded = None if options.record else json.loads(options.check.read_text())
    begin = time.monotonic()
    with tempfile.TemporaryDirectory() as work:
        try:
            found = run_all(Path(work))
        except RunFailed as failure:
            print(failure)
            return 2
    print(f"{len(found)} runs in {time.monotonic() - begin:.0f} s")
    if recorded is None:
        options.record.write_text(json.dumps({"environment": environment(), "losses": found}, indent=1) + "\n")
        return 0
    return report(recorded, found)


def report(recorded: dict[str, Any], found: Losses) -> int:
    """Print how the losses found differ from those of a file, and return the exit code."""
    moved = differences(recorded["losses"], found)
    for line in moved:
        print(line)
    count = sum(len(numbers) for numbers in recorded["losses"].values())
    print(f"{len(moved)} of {count} losses and accuracies moved" if moved else f"all {count} are bit-identical")
    elsewhere = environment_differences(recorded["environment"], environment())
    if elsewhere:
        print("\n".join(["recorded in another environment, where bits may differ:", *elsewhere]))
    return int(bool(moved))


def differences(recorded: Losses, found: Losses) -> list[str]:
    """Return a line for each recorded number that has other bits now or is missing; further numbers are ignored."""
    lines = []
    for run, numbers in recorded.items():
        for key, before in numbers.items():
            after = found.get(run, {}).get(key)
            if after is None:
                lines.append(f"{run}: {key} is missing")
            elif after.hex() != before.hex():
                ulps = (after - before) / math.ulp(before)
                lines.append(f"{run}: {key} was {before!r}, is {after!r} ({ulps:+.3g} ulp)")
    return lines


def environment() -> dict[str, Any]:
    """Everything outside the tree that the bits depend on."""
    return {"cpu": _cpu(), "threads": THREADS, **{name: version(name) for name in LIBRARIES}}


def environment_differences(recorded: dict[str, Any], here: dict[str, Any]) -> list[str]:
    """Return a line for each recorded value that is another one here."""
    return [f"{key} was {value}, is {here.get(key)}" for key, value in recorded.items() if here.get(key) != value]


def _cpu() -> str:
    """The model, and the vector instructions by which torch chooses its kernels."""
    try:
        lines = [line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines()]
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    fields = {key.strip(): value.strip() for key, _, value in lines}
    vector = [flag for flag in fields.get("flags", "").split() if flag.startswith(("avx", "amx", "fma"))]
    names = (fields.get(key, "?") for key in ("model name", "cpu family", "model"))
    return "{}, family {}, model {}, ".format(*names) + " ".join(sorted(vector))


# --- running ---------------------------------------------------------------------------------------------------------


def run_all(work: Path) -> Losses:
    """Run every command in an empty folder and return what the runs' records hold.

    Raises:
        RunFailed: a command failed, or the stopped and resumed training has other losses than the unstopped one.
    """
    variables = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}
    os.environ.update(variables, CUDA_VISIBLE_DEVICES="", MODERNET_CACHE=str(work / "cache"))
    for name in PRELOADED:
        importlib.import_module(name)
    assert threading.active_count() == 1, "threads do not survive a fork"
    make_images(work)
    lanes = [_fork(_run_chains, work, CHAINS[lane::LANES]) for lane in range(LANES)]
    for lane in lanes:
        lane.join()
    failures = sorted(work.glob("*.failure"))
    if failures or any(lane.exitcode for lane in lanes):
        raise RunFailed("\n".join(failure.read_text() for failure in failures))
    losses = {
        str(record.parent.relative_to(work)): record_numbers(json.loads(record.read_text()))
        for record in sorted(work.rglob("record.json"))
    }
    losses["evaluate"] = _compared(json.loads((work / "evaluate.out").read_text()))
    moved = differences({"stopped": losses["stateful"]}, losses)
    if moved:
        raise RunFailed("\n".join(["the run that was stopped and resumed differs from the one that was not:", *moved]))
    return losses


def record_numbers(record: dict[str, Any]) -> Numbers:
    """The losses and accuracies in a record."""
    numbers = _compared(record["metrics"])
    for epoch, row in enumerate(record["history"], 1):
        numbers |= {f"epoch {epoch} {key}": value for key, value in _compared(row).items()}
    return numbers


def _compared(row: dict[str, Any]) -> Numbers:
    return {key: float(value) for key, value in row.items() if key.endswith(COMPARED)}


def _fork(target: Any, *arguments: Any) -> ForkProcess:
    process = multiprocessing.get_context("fork").Process(target=target, args=arguments)
    process.start()
    return process


def _run_chains(work: Path, chains: list[list[Command]]) -> None:
    for chain in chains:
        for command in chain:
            begin = time.monotonic()
            _run(work, command)
            print(f"{time.monotonic() - begin:5.1f} s  {command.name}", flush=True)


def _run(work: Path, command: Command) -> None:
    """Run a command to its end; if it fails, leave its output in a file `*.failure` and exit."""
    if command.weights:
        shutil.copy(work / command.weights, work / "weights.safetensors")
    outputs = [
        work / (f"{command.name}.out" if rank == 0 else f"{command.name}.{rank}.out")
        for rank in range(command.processes)
    ]
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    processes = []
    for rank, output in enumerate(outputs):
        variables: dict[str, str] = {}
        if command.processes > 1:
            variables = {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(command.processes)}
            variables |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
        processes.append(_fork(_modernet, work, command.arguments, variables, output))
    deadline = time.monotonic() + TIMEOUT_S
    while command.stop_once and processes[0].is_alive() and time.monotonic() < deadline:
        file = work / command.stop_once
        if file.exists() and file.stat().st_size:
            processes[0].terminate()
            break
        time.sleep(0.002)
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.is_alive():
            process.kill()
            process.join()
    codes = [process.exitcode for process in processes]
    expected = INTERRUPTED if command.stop_once else 0
    if any(code != expected for code in codes):
        said = "".join(file.read_text() for output in outputs for file in (output, output.with_suffix(".err")))
        line = f"{command.name}, modernet {' '.join(command.arguments)}: exit codes {codes}, expected {expected}"
        (work / f"{command.name}.failure").write_text(f"{line}\n{said}")
        sys.exit(1)


def _modernet(work: Path, arguments: list[str], variables: dict[str, str], output: Path) -> None:
    """In a process of its own: `python -m modernet ARGUMENTS`."""
    os.chdir(work)
    os.environ.update(variables)
    for stream, path in ((1, output), (2, output.with_suffix(".err"))):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC), stream)
    sys.argv[1:] = arguments
    runpy.run_module("modernet", run_name="__main__", alter_sys=True)


# --- the images ------------------------------------------------------------------------------------------------------


def make_images(work: Path) -> None:
    """`squares`, of one size and with given splits; `photos`, of many sizes, PNG and JPEG, without splits."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 87), ("validation", 23), ("test", 31)):
        for index in range(count):
            _write(work / "squares" / split, index, f"{index}.png", (32, 32), rng)
    for index in range(120):
        size = int(rng.integers(36, 70)), int(rng.integers(36, 70))
        _write(work / "photos", index, f"{index}.{'jpg' if index % 2 else 'png'}", size, rng)


def _write(folder: Path, index: int, name: str, size: tuple[int, int], rng: np.random.Generator) -> None:
    """A noisy image of stripes, whose direction is the class."""
    label = index % 3
    path = folder / ("across", "along", "diagonal")[label] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    y, x = np.indices(size)
    wave = (np.array([y, x, x + y][label]) // int(rng.integers(2, 5))) % 2
    colours = rng.integers(0, 200, (2, 3))
    pixels = colours[wave] + rng.integers(0, 56, (*size, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(path)


if __name__ == "__main__":
    sys.exit(main())
