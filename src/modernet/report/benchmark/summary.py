"""Summarise the records of `modernet benchmark`: the cases of each run, what they share and how they differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modernet.records import Record
from modernet.report.benchmark.case import KIND, BenchmarkCase

SETTINGS = ("mode", "dtype", "layout", "compile", "batch", "image_size", "length", "threads")
"""The settings in which cases of a run may differ."""

GROUPED_BY = ("mode", "dtype", "image_size", "length")  # speeds are comparable only where these agree
MODES = ("infer", "train")

_MEASURED = (
    "latency_ms", "peak_memory_mb", "tflops", "peak_share", "ratio", "ratio_low", "ratio_high",
)  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """One run of `modernet benchmark`.

    Attributes:
        id: shared by its cases.
        device: `"NVIDIA H200"`, `"CPU, 2 threads"`.
        created: time of its last record, as ISO 8601; empty if the records do not say.
        cases: one record each, in the order of their turns, including failed ones.
    """

    id: str
    device: str
    created: str
    cases: tuple[Record, ...]

    @property
    def title(self) -> str:
        """Device and date of the run."""
        return ", ".join(filter(None, (f"Speed on {self.device}", self.created[:10])))

    @property
    def unit(self) -> str:
        """What the examples of its cases are, in the plural; they are of one kind."""
        return unit_of(self.cases[0])

    @property
    def finished(self) -> tuple[Record, ...]:
        """The cases that have a speed."""
        return tuple(case for case in self.cases if speed_of(case) is not None)

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that all cases share, with their values."""
        return {name: setting(self.cases[0], name) for name in SETTINGS if name not in self.differing}

    @property
    def differing(self) -> tuple[str, ...]:
        """The names of the settings in which cases differ."""
        return tuple(name for name in SETTINGS if len({setting(case, name) for case in self.cases}) > 1)

    @property
    def groups(self) -> tuple[dict[int, Record], ...]:
        """The cases grouped by `GROUPED_BY`, in order of appearance: row, counted from 1 -> case."""
        found: dict[tuple[Any, ...], dict[int, Record]] = {}
        for row, case in enumerate(self.cases, start=1):
            found.setdefault(tuple(setting(case, name) for name in GROUPED_BY), {})[row] = case
        return tuple(found.values())


def summarise_benchmarks(records: Iterable[Record]) -> list[Benchmark]:
    """Return a summary of each run of `modernet benchmark`, the newest first; records of other kinds are ignored.

    Raises:
        InputError: a record of a benchmark does not say which run it belongs to, or its index.
    """
    runs: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == KIND:
            runs.setdefault(BenchmarkCase.from_record(record).benchmark, []).append(record)
    benchmarks = [_summary(name, cases) for name, cases in runs.items()]
    return sorted(benchmarks, key=lambda benchmark: benchmark.created, reverse=True)


def benchmark_of(records: Iterable[Record]) -> Benchmark:
    """Return the run that the records belong to.

    Raises:
        ValueError: the records are not from exactly one run.
    """
    benchmarks = summarise_benchmarks(records)
    if len(benchmarks) != 1:
        raise ValueError(f"records of {len(benchmarks)} benchmarks were given; a table shows one")
    return benchmarks[0]


def benchmark_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """Return the cases as flat rows for programs, in the order of the records; missing values are None.

    `latency_ms` is the time of one batch, `peak_share` the fraction of the peak measured in the same run, `ratio` the
    speed relative to the baseline, `versions` one line.
    """
    return [
        {
            "model": model_of(record),
            **{name: setting(record, name) for name in SETTINGS},
            f"{unit_of(record)}_per_second": record.metrics.get(f"{unit_of(record)}_per_second"),
            **{name: record.metrics.get(name) for name in _MEASURED},
            "device": device_of(record),
            "params": _count(record, "params"),
            "macs": _count(record, "macs"),
            "bound": BenchmarkCase.from_record(record).bound,
            "error": record.error,
            "versions": versions_of(record),
        }
        for record in records
    ]


def setting(case: Record, name: str) -> Any:
    """Return one of `SETTINGS` of a case."""
    return getattr(BenchmarkCase.from_record(case), name)


def model_of(case: Record) -> str:
    """Return the name of the network: `"convnext_tiny"`, `"timm:convnext_tiny"`."""
    return BenchmarkCase.from_record(case).model


def unit_of(case: Record) -> str:
    """Return what the examples of a case are, in the plural: `"images"`."""
    return BenchmarkCase.from_record(case).unit


def device_of(case: Record) -> str:
    """Return the name of the device that a case ran on."""
    return str(case.environment.get("device") or BenchmarkCase.from_record(case).device or "an unnamed device")


def versions_of(case: Record, packages: Collection[str] = ()) -> str:
    """Format the versions of some packages, or of all: `"torch 2.15.0, timm 1.0.31"`."""
    versions = case.environment.get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in versions.items() if not packages or name in packages)


def speed_of(case: Record) -> float | None:
    """Return the images, sequences or clouds per second; None for a failed case."""
    return None if case.error is not None else case.metrics.get(f"{unit_of(case)}_per_second")


def accuracy_of(case: Record) -> float | None:
    """Return the published value of the primary metric; None if there is none."""
    return case.metrics.get(case.primary.name)


def is_baseline(case: Record) -> bool:
    """Return whether the ratios of other cases refer to this one: its own is exactly 1."""
    return [case.metrics.get(name) for name in ("ratio", "ratio_low", "ratio_high")] == [1.0, 1.0, 1.0]


def fastest_of_each_network(cases: Mapping[int, Record]) -> dict[int, Record]:
    """Return the fastest case of each network, by row; networks without a finished case are left out."""
    best: dict[str, tuple[float, int]] = {}
    for row, case in cases.items():
        speed, name = speed_of(case), model_of(case)
        if speed is not None and (name not in best or speed > best[name][0]):
            best[name] = (speed, row)
    return {row: cases[row] for _, row in best.values()}


def accuracy_marks(cases: Mapping[int, Record]) -> dict[int, Record]:
    """Return the points of a chart of accuracy against speed: the fastest case of each network that has an accuracy.

    Empty if fewer than two distinct accuracies are known, since bars would show as much.
    """
    known = {row: case for row, case in fastest_of_each_network(cases).items() if accuracy_of(case) is not None}
    return known if len({accuracy_of(case) for case in known.values()}) > 1 else {}


def quartiles(case: Record) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile of the `speed_of` a finished case.

    Unknown quartiles are replaced by the median.
    """
    name = f"{unit_of(case)}_per_second"
    median = case.metrics[name]
    low, high = (case.metrics.get(f"{name}_{end}", median) for end in ("low", "high"))
    return low, median, high


def _summary(name: str, cases: Sequence[Record]) -> Benchmark:
    ordered = sorted(cases, key=lambda case: BenchmarkCase.from_record(case).index)
    created = max(str(case.environment.get("created", "")) for case in cases)
    return Benchmark(name, device_of(ordered[0]), created, tuple(ordered))


def _count(record: Record, name: str) -> int | None:
    value = record.metrics.get(name)
    return None if value is None else round(value)
