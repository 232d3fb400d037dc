"""Format the cases of a benchmark and their settings as short texts."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from modernet.records import Record
from modernet.report.benchmark.summary import GROUPED_BY, Benchmark, model_of, setting
from modernet.report.notation import measured, plural

_LABELS = {
    "mode": {"infer": "inference", "train": "training"},
    "compile": {"off": "eager", "default": "compiled", "max-autotune": "compiled with max-autotune"},
}


def setting_label(name: str, value: object) -> str:
    """Format a setting of a case so that it can be read alone: `batch 256`, `224×224 pixels`."""
    if value in (None, "chosen"):  # chosen by `optimize`, which the network's name shows
        return ""
    if name in _LABELS:
        return _LABELS[name].get(str(value), f"{name} {value}")
    if name == "image_size":
        return f"{value}×{value} pixels" if isinstance(value, int) else f"{str(value).replace('x', '×')} pixels"
    if name == "length" and isinstance(value, int):
        return f"length {value:,}"
    if name == "threads" and isinstance(value, int):
        return plural(value, "thread")
    return f"batch {value}" if name == "batch" else str(value)


def conditions(benchmark: Benchmark) -> str:
    """Format the settings that all cases share in one line; threads only if the device name does not include them."""
    labels = [
        setting_label(name, value)
        for name, value in benchmark.shared.items()
        if name != "threads" or "thread" not in benchmark.device
    ]
    return " · ".join(filter(None, labels))


def group_label(benchmark: Benchmark, cases: Mapping[int, Record]) -> str:
    """Format what distinguishes one of the benchmark's `groups`: `training, bfloat16`; empty if it is the only one."""
    first = next(iter(cases.values()))
    names = [name for name in GROUPED_BY if name in benchmark.differing]
    return ", ".join(filter(None, (setting_label(name, setting(first, name)) for name in names)))


def case_settings(benchmark: Benchmark, leave_out: Collection[str] = ()) -> list[str]:
    """Format the settings in which cases differ, for each case, except those in `leave_out`."""
    names = [name for name in benchmark.differing if name not in leave_out]
    labels = [[setting_label(name, setting(case, name)) for name in names] for case in benchmark.cases]
    return [", ".join(filter(None, labels_of_case)) for labels_of_case in labels]


def case_names(benchmark: Benchmark, leave_out: Collection[str] = ()) -> list[str]:
    """Format each case as its network with its `case_settings` in parentheses."""
    settings = case_settings(benchmark, leave_out)
    models = map(model_of, benchmark.cases)
    return [f"{model} ({label})" if label else model for model, label in zip(models, settings, strict=True)]


def peaks(benchmark: Benchmark) -> str:
    """Format the device's peaks measured in the same run, for each dtype; empty if the records have none."""
    arithmetic = {
        setting(case, "dtype"): case.metrics["peak_tflops"] for case in benchmark.cases if "peak_tflops" in case.metrics
    }
    parts = [f"{measured(value)} TFLOP/s in {dtype}" for dtype, value in arithmetic.items()]
    copies = [case.metrics["peak_gb_per_second"] for case in benchmark.cases if "peak_gb_per_second" in case.metrics]
    parts += [f"{measured(max(copies))} GB/s"] if copies else []
    return f"peaks measured in this run: {', '.join(parts)}" if parts else ""
