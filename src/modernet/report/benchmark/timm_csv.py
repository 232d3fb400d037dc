"""Write benchmarks as CSV with the column names of timm's result files, for tools that read those."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modernet.files.atomic import whole_file
from modernet.records import Record
from modernet.report.benchmark.case import BenchmarkCase
from modernet.report.benchmark.summary import accuracy_of, device_of, model_of, setting, speed_of

_SETTINGS = ("dtype", "layout", "compile", "threads")
_METRICS = ("peak_memory_mb", "tflops", "peak_share", "ratio", "ratio_low", "ratio_high")


def write_timm_csv(cases: Sequence[Record], path: Path) -> None:
    """Write the finished cases of one mode in their order: timm's columns, then ours.

    timm's are `model, infer_samples_per_sec, infer_step_time, infer_batch_size, infer_img_size, infer_gmacs,
    param_count`, and the same with `train_` and without the gmacs; of networks for sequences and
    clouds also `infer_length`. Units and rounding are timm's: milliseconds per
    batch, 10^9 multiply-accumulates per example, 10^6 parameters.
    """
    rows = [_row(case) for case in cases]
    with whole_file(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def _row(case: Record) -> dict[str, Any]:
    metrics, settings = case.metrics, BenchmarkCase.from_record(case)
    mode = settings.mode
    row: dict[str, Any] = {
        "model": model_of(case),
        f"{mode}_samples_per_sec": _rounded(speed_of(case), 1, 2),
        f"{mode}_step_time": _rounded(metrics.get("latency_ms"), 1, 3),
        f"{mode}_batch_size": settings.batch,
        f"{mode}_img_size": settings.image_size,
    }
    if settings.length is not None:
        row[f"{mode}_length"] = settings.length
    if mode == "infer":
        row["infer_gmacs"] = _rounded(metrics.get("macs"), 1e9, 2)
    row["param_count"] = _rounded(metrics.get("params"), 1e6, 2)
    row |= {name: setting(case, name) for name in _SETTINGS}
    row |= {name: _rounded(metrics.get(name), 1, 4) for name in _METRICS}
    accuracy = {case.primary.name: _rounded(accuracy_of(case), 1, 4)}
    return row | accuracy | {"device": device_of(case)}


def _rounded(value: float | None, unit: float, digits: int) -> float | None:
    return None if value is None else round(value / unit, digits)
