"""Records of `modernet benchmark` -> one summary a run: its cases, what they share and in what they differ."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modernet.records import Record
from modernet.report.benchmark.case import KIND, BenchmarkCase

SETTINGS = ("mode", "dtype", "layout", "compile", "batch", "image_size", "threads")  # what cases of a run may differ in
GROUPED_BY = ("mode", "dtype", "image_size")  # only where these agree does it say much which network is faster
MODES = ("infer", "train")

_MEASURED = (
    "images_per_second", "latency_ms", "peak_memory_mb", "tflops", "peak_share", "ratio", "ratio_low", "ratio_high",
)  # fmt: skip


@dataclass(frozen=True)
class Benchmark:
    """One run of `modernet benchmark`.

    Attributes:
        id: what its cases share, and no other run.
        device: where it ran, in words: `"NVIDIA H200"`, `"CPU, 2 threads"`.
        created: when its last case was written, as ISO 8601; empty where the records do not say.
        cases: a record each, in the order in which they took turns, failed ones too.
    """

    id: str
    device: str
    created: str
    cases: tuple[Record, ...]

    @property
    def title(self) -> str:
        """The run by device and date."""
        return ", ".join(filter(None, (f"Speed on {self.device}", self.created[:10])))

    @property
    def finished(self) -> tuple[Record, ...]:
        """The cases that have a speed."""
        return tuple(case for case in self.cases if speed_of(case) is not None)

    @property
    def shared(self) -> dict[str, Any]:
        """The settings that all cases agree in, with their values."""
        return {name: setting(self.cases[0], name) for name in SETTINGS if name not in self.differing}

    @property
    def differing(self) -> tuple[str, ...]:
        """The names of the settings in which cases differ."""
        return tuple(name for name in SETTINGS if len({setting(case, name) for case in self.cases}) > 1)

    @property
    def groups(self) -> tuple[dict[int, Record], ...]:
        """The cases by what `GROUPED_BY` names, in order of appearance, each with its row, counted from 1."""
        found: dict[tuple[Any, ...], dict[int, Record]] = {}
        for row, case in enumerate(self.cases, start=1):
            found.setdefault(tuple(setting(case, name) for name in GROUPED_BY), {})[row] = case
        return tuple(found.values())


def summarise_benchmarks(records: Iterable[Record]) -> list[Benchmark]:
    """One summary for each run of `modernet benchmark`, the newest first; records of other kinds are passed over.

    Raises:
        InputError: a record of a benchmark does not say which run it belongs to, or at which place.
    """
    runs: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == KIND:
            runs.setdefault(BenchmarkCase.from_record(record).benchmark, []).append(record)
    benchmarks = [_summary(name, cases) for name, cases in runs.items()]
    return sorted(benchmarks, key=lambda benchmark: benchmark.created, reverse=True)


def benchmark_of(records: Iterable[Record]) -> Benchmark:
    """The one run that the records are of.

    Raises:
        ValueError: they are of several runs, or of none.
    """
    benchmarks = summarise_benchmarks(records)
    if len(benchmarks) != 1:
        raise ValueError(f"records of {len(benchmarks)} benchmarks were given; a table shows one")
    return benchmarks[0]


def benchmark_rows(records: Iterable[Record]) -> list[dict[str, Any]]:
    """The cases as flat rows for a program to read, in the order of the records; None where something is missing.

    `latency_ms` is the time of one batch, `peak_share` a share from 0 to 1 of the peak measured in the same run,
    `ratio` how many times as fast as the baseline, and `versions` one line.
    """
    return [
        {
            "model": model_of(record),
            **{name: setting(record, name) for name in SETTINGS},
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
    """The name under which the network was asked for: `"convnext_tiny"`, `"timm:convnext_tiny"`."""
    return BenchmarkCase.from_record(case).model


def device_of(case: Record) -> str:
    """Where a case ran, in words where the record has them."""
    return str(case.environment.get("device") or BenchmarkCase.from_record(case).device or "an unnamed device")


def versions_of(case: Record, packages: Collection[str] = ()) -> str:
    """Versions behind a case in one line, of some packages or of all: `"torch 2.15.0, timm 1.0.31"`."""
    versions = case.environment.get("versions", {})
    return ", ".join(f"{name} {version}" for name, version in versions.items() if not packages or name in packages)


def speed_of(case: Record) -> float | None:
    """Images a second; None for a case that failed."""
    return None if case.error is not None else case.metrics.get("images_per_second")


def accuracy_of(case: Record) -> float | None:
    """Return the published value of the primary metric; None if there is none."""
    return case.metrics.get(case.primary.name)


def is_baseline(case: Record) -> bool:
    """Whether the ratios of other cases refer to this one: its own is 1 without any spread."""
    return [case.metrics.get(name) for name in ("ratio", "ratio_low", "ratio_high")] == [1.0, 1.0, 1.0]


def fastest_of_each_network(cases: Mapping[int, Record]) -> dict[int, Record]:
    """Of cases by row, one a network: the one with the most images a second. A network without a speed has none."""
    best: dict[str, tuple[float, int]] = {}
    for row, case in cases.items():
        speed, name = speed_of(case), model_of(case)
        if speed is not None and (name not in best or speed > best[name][0]):
            best[name] = (speed, row)
    return {row: cases[row] for _, row in best.values()}


def accuracy_marks(cases: Mapping[int, Record]) -> dict[int, Record]:
    """What a chart of accuracy against speed marks: the fastest case of each network with a published accuracy.

    None at all where fewer than two accuracies are known: such a chart would show nothing that bars do not.
    """
    known = {row: case for row, case in fastest_of_each_network(cases).items() if accuracy_of(case) is not None}
    return known if len({accuracy_of(case) for case in known.values()}) > 1 else {}


def quartiles(case: Record) -> tuple[float, float, float]:
    """The images a second of a finished case: lower quartile, median, upper; the median for a quartile not known."""
    median = case.metrics["images_per_second"]
    low, high = (case.metrics.get(f"images_per_second_{end}", median) for end in ("low", "high"))
    return low, median, high


def _summary(name: str, cases: Sequence[Record]) -> Benchmark:
    ordered = sorted(cases, key=lambda case: BenchmarkCase.from_record(case).index)
    created = max(str(case.environment.get("created", "")) for case in cases)
    return Benchmark(name, device_of(ordered[0]), created, tuple(ordered))


def _count(record: Record, name: str) -> int | None:
    value = record.metrics.get(name)
    return None if value is None else round(value)
