"""One run of cases, from their names to a folder of results."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch

from modernet.benchmark.case import Case
from modernet.benchmark.measure import measure, measuring
from modernet.benchmark.outcomes import as_records
from modernet.benchmark.targets import find_network
from modernet.errors import InputError, RunStopped
from modernet.files.atomic import check_writable
from modernet.machine.device import device_name
from modernet.machine.peaks import measure_peaks
from modernet.records import RECORD_NAME, Record
from modernet.report import write_benchmark


class Stopped(RunStopped):
    """Ctrl-C, after a round; `records` has what was finished, and so has the folder if one was given."""

    exit_code = 130

    def __init__(self, message: str, records: list[Record]) -> None:
        super().__init__(message)
        self.records = records


def run_cases(
    cases: Sequence[Case], device: torch.device, *, rounds: int, turn_s: float, folder: Path | None
) -> list[Record]:
    """Measure the device and the cases, and write what came out; see `benchmark_models`.

    Raises:
        InputError: a model has no such name, `rounds` or `turn_s` is out of range, or the folder holds results.
        Stopped: Ctrl-C after the first round.
    """
    if rounds < 1:
        raise InputError(f"rounds is {rounds}; give 1 or more, 5 or more for intervals")
    if not 0.0 <= turn_s <= 3600:
        raise InputError(f"turn_s is {turn_s:g}; give the seconds of a turn, such as 0.25")
    targets = {case.model: find_network(case.model) for case in cases}
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
        where = "" if folder is None else f"; they are in {folder}"
        raise Stopped(f"stopped after {finished} of {rounds} rounds{where}", records)
    return records


def default_folder(device: torch.device) -> Path:
    """`benchmarks/results/nvidia-h200-20261124-153000`."""
    return Path("benchmarks/results") / f"{_slug(device_name(device))}-{datetime.now():%Y%m%d-%H%M%S}"


def _check_results_folder(folder: Path) -> None:
    check_writable(folder)
    if any(folder.glob(f"*/{RECORD_NAME}")):
        raise InputError(f"{folder} holds results already; give another --out")


def _write_results(records: Sequence[Record], folder: Path) -> None:
    for index, record in enumerate(records):
        words = [record.settings[name] for name in ("model", "mode", "dtype", "layout", "compile")]
        record.write(folder / f"{index:02d}-{_slug('-'.join(words))}" / RECORD_NAME)
    write_benchmark(records, folder)


def _slug(words: str) -> str:
    """Words as a file's name."""
    return re.sub(r"[^a-z0-9_.]+", "-", words.lower()).strip("-")
