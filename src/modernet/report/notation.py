"""How numbers are written, alike in the terminal, in Markdown, in charts and on the page."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from modernet.records import Record
from modernet.report.benchmark.summary import GROUPED_BY, Benchmark, model_of
from modernet.report.road.summary import Road, RoadStep

MISSING = "–"
_WORDS = {
    "mode": {"infer": "inference", "train": "training"},
    "compile": {"off": "eager", "default": "compiled", "max-autotune": "compiled with max-autotune"},
}


def digits_of(n_test: int | None) -> int:
    """Decimals of an accuracy in per cent: one picture in ten thousand is 0.01 points, in fewer it is more."""
    return 2 if n_test is not None and n_test >= 10_000 else 1


def number(value: float | None, digits: int) -> str:
    """A number with a true minus sign and thousands apart."""
    return MISSING if value is None else f"{value:,.{digits}f}".replace("-", "−")


def signed(value: float | None, digits: int) -> str:
    """A difference with its sign, also where it rounds to zero: the sign says on which side it lies."""
    if value is None:
        return MISSING
    return f"{value:+.{digits}f}".replace("-", "−") if value else number(value, digits)


def quantity(value: float | None) -> str:
    """A count with three digits and its prefix: `4.15G`, `25.6M`."""
    if value is None:
        return MISSING
    for size, prefix in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= 0.9995 * size:
            return f"{value / size:#.3g}".rstrip(".") + prefix
    return f"{value:g}"


def mean_and_spread(step: RoadStep, digits: int) -> str:
    """Mean ± standard deviation over seeds; `failed` where runs failed and none finished."""
    if step.test_mean is None:
        return "failed" if step.errors else MISSING
    if step.test_std is None:
        return number(step.test_mean, digits)
    return f"{number(step.test_mean, digits)} ± {number(step.test_std, digits)}"


def interval(step: RoadStep, digits: int) -> str:
    """The interval of the difference in brackets; empty where there is none."""
    if step.delta_low is None:
        return ""
    return f"[{signed(step.delta_low, digits)}, {signed(step.delta_high, digits)}]"


def difference(step: RoadStep, digits: int) -> str:
    """The difference, its interval, and a star where the interval excludes zero."""
    if step.delta is None:
        return MISSING
    return f"{signed(step.delta, digits)} {interval(step, digits)} {'*' if step.excludes_zero else ''}".rstrip()


def seeds_in_words(steps: Sequence[RoadStep]) -> str:
    """`3 seeds`, or `1 to 3 seeds` where the steps differ; steps without a finished run do not count."""
    counts = sorted({step.seeds for step in steps if step.seeds})
    if not counts:
        return "no finished run"
    if len(counts) > 1:
        return f"{counts[0]} to {counts[-1]} seeds"
    return "1 seed" if counts == [1] else f"{counts[0]} seeds"


def place(road: Road) -> str:
    """What was walked on, in one line: size, picture size, stem stride if it tells roads apart, seeds, n, devices."""
    parts = [f"size {road.size}"]
    if road.image_size is not None:
        parts.append(f"{road.image_size}×{road.image_size} pixels")
    if road.stem_stride is not None:
        parts.append(f"stem stride {road.stem_stride}")
    parts.append(seeds_in_words(road.steps))
    if road.n_test is not None:
        parts.append(f"{number(road.n_test, 0)} test pictures")
    return " · ".join([*parts, *road.devices])


def measured(value: float | None, like: float | None = None) -> str:
    """A measurement with three digits, or all before the point if they are more; `like` lends it its own decimals.

    There are four decimals at most, so that a tiny value does not widen its column.
    """
    if value is None:
        return MISSING
    size = abs(value if like is None else like)
    return number(value, 2 if size == 0 else min(max(0, 2 - math.floor(math.log10(size))), 4))


def setting_in_words(name: str, value: object) -> str:
    """A setting of a benchmark's case, understood where it stands alone: `batch 256`, `224×224 pixels`."""
    if value in (None, "chosen"):  # chosen for an optimized network, whose name says so
        return ""
    if name in _WORDS:
        return _WORDS[name].get(str(value), f"{name} {value}")
    if name == "image_size":
        return f"{value}×{value} pixels"
    if name == "threads":
        return "1 thread" if value == 1 else f"{value} threads"
    return f"batch {value}" if name == "batch" else str(value)


def conditions(benchmark: Benchmark) -> str:
    """What all cases of a benchmark share, in one line; threads only where the device's words do not hold them."""
    words = [
        setting_in_words(name, value)
        for name, value in benchmark.shared.items()
        if name != "threads" or "thread" not in benchmark.device
    ]
    return " · ".join(filter(None, words))


def group_words(benchmark: Benchmark, cases: Mapping[int, Record]) -> str:
    """What one of a benchmark's `groups` has and others have not: `training, bfloat16`; empty for the only one."""
    settings = next(iter(cases.values())).settings
    names = [name for name in GROUPED_BY if name in benchmark.differing]
    return ", ".join(filter(None, (setting_in_words(name, settings.get(name)) for name in names)))


def case_settings(benchmark: Benchmark, leave_out: Collection[str] = ()) -> list[str]:
    """What tells each case from the others of its network: the settings that differ, but for those in `leave_out`."""
    names = [name for name in benchmark.differing if name not in leave_out]
    words = [[setting_in_words(name, case.settings.get(name)) for name in names] for case in benchmark.cases]
    return [", ".join(filter(None, of_one)) for of_one in words]


def case_names(benchmark: Benchmark, leave_out: Collection[str] = ()) -> list[str]:
    """Each case by its network and, in brackets, its `case_settings`."""
    settings = case_settings(benchmark, leave_out)
    models = map(model_of, benchmark.cases)
    return [f"{model} ({words})" if words else model for model, words in zip(models, settings, strict=True)]


def peaks(benchmark: Benchmark) -> str:
    """The device's own peaks, measured in the same run, of each dtype; empty where the records hold none."""
    arithmetic = {
        case.settings.get("dtype"): case.metrics["peak_tflops"]
        for case in benchmark.cases
        if "peak_tflops" in case.metrics
    }
    parts = [f"{measured(value)} TFLOP/s in {dtype}" for dtype, value in arithmetic.items()]
    copies = [case.metrics["peak_gb_per_second"] for case in benchmark.cases if "peak_gb_per_second" in case.metrics]
    parts += [f"{measured(max(copies))} GB/s"] if copies else []
    return f"peaks measured in this run: {', '.join(parts)}" if parts else ""
