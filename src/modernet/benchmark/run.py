"""A run of cases, from their names to a folder of results."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import torch

from modernet.benchmark.case import Case
from modernet.benchmark.measure import measure, measuring
from modernet.benchmark.outcomes import as_records
from modernet.benchmark.targets import Target
from modernet.errors import InputError, RunStopped
from modernet.files.atomic import check_writable
from modernet.machine.device import device_name
from modernet.machine.peaks import measure_peaks
from modernet.records import RECORD_NAME, Record
from modernet.report import write_benchmark


class Stopped(RunStopped):
    """Ctrl-C after the first round; `records` and the folder have the finished rounds."""

    exit_code = 130

    def __init__(self, message: str, records: list[Record]) -> None:
        super().__init__(message)
        self.records = records


def run_cases(
    cases: Sequence[Case],
    targets: Mapping[str, Target],
    device: torch.device,
    *,
    rounds: int,
    turn_s: float,
    folder: Path | None,
) -> list[Record]:
    """Measure the device and the cases, and write the results; see `benchmark_models`.

    Args:
        targets: name of the model of each case -> network.

    Raises:
        InputError: a model is a detector and to be trained, or saved for another device or dtype; `rounds` or
            `turn_s` is out of range, or the folder contains results.
        Stopped: Ctrl-C after the first round.
    """
    if rounds < 1:
        raise InputError(f"rounds is {rounds}; give 1 or more, 5 or more for intervals")
    if not 0.0 <= turn_s <= 3600:
        raise InputError(f"turn_s is {turn_s:g}; give the length of a turn in seconds, such as 0.25")
    for case in cases:
        if case.mode == "train" and targets[case.model].task == "detection":
            raise InputError(f"{case.model} is a detector, whose training step is not measured; give --mode infer")
        kept = targets[case.model].kept_dtype
        if kept and (device.type != "cpu" or case.dtype != kept):
            raise InputError(f"{case.model} was saved for the CPU in {kept}; give --device cpu --dtype {kept}")
    if folder is not None:
        _check_results_folder(folder)
    with measuring(cases, device):
        peaks = measure_peaks(device, list(dict.fromkeys(case.dtype for case in cases)))
        outcomes = measure(cases, targets, device, rounds=rounds, turn_s=turn_s)
    records = as_records(outcomes, targets, peaks, device, turn_s=turn_s)
    if folder is not None:
        _write_results(records, folder)
    finished = min((len(outcome.seconds) for outcome in outcomes if outcome.error is None), default=rounds)
    if finished < rounds:
        where = "" if folder is None else f"; their results are in {folder}"
        raise Stopped(f"stopped after {finished} of {rounds} rounds{where}", records)
    return records


def default_folder(device: torch.device) -> Path:
    """Return a folder named after the device and the time: `benchmarks/results/nvidia-h200-20261124-153000`."""
    return Path("benchmarks/results") / f"{_slug(device_name(device))}-{datetime.now():%Y%m%d-%H%M%S}"


def _check_results_folder(folder: Path) -> None:
    check_writable(folder)
    if any(folder.glob(f"*/{RECORD_NAME}")):
        raise InputError(f"{folder} already contains results; give another --out")


def _write_results(records: Sequence[Record], folder: Path) -> None:
    for index, record in enumerate(records):
        name = "-".join(record.settings[key] for key in ("model", "mode", "dtype", "layout", "compile"))
        record.write(folder / f"{index:02d}-{_slug(name)}" / RECORD_NAME)
    write_benchmark(records, folder)


def _slug(text: str) -> str:
    """Return a text as a file name."""
    return re.sub(r"[^a-z0-9_.]+", "-", text.lower()).strip("-")
