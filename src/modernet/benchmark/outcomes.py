"""Measurements -> records."""

from __future__ import annotations

import statistics
import uuid
from collections.abc import Mapping, Sequence

import torch

from modernet.benchmark.case import reference_of
from modernet.benchmark.inputs import Images, Inputs, steps_of
from modernet.benchmark.measure import Outcome
from modernet.benchmark.targets import Target
from modernet.machine.device import describe, device_name
from modernet.machine.peaks import Peaks
from modernet.machine.timing import speed_ratio
from modernet.preparation import ImageSize, as_size
from modernet.records import Record, environment
from modernet.report import BenchmarkCase


def as_records(
    outcomes: Sequence[Outcome],
    targets: Mapping[str, Target],
    peaks: Peaks,
    device: torch.device,
    *,
    turn_s: float,
) -> list[Record]:
    """Return a record per case. Every metric has its unit in its name; unknown ones are missing.

    Ratios are of examples per second, within each round, relative to the case that `reference_of` returns.
    """
    run = uuid.uuid4().hex[:12]
    cases = [outcome.case for outcome in outcomes]
    by_case = dict(zip(reversed(cases), reversed(outcomes), strict=True))  # if a model is given twice, the first
    circumstances = environment(device_name(device))
    records = []
    for index, outcome in enumerate(outcomes):
        reference = reference_of(outcome.case, cases)
        target = targets[outcome.case.model]
        inputs = target.inputs
        metrics = {"top1": target.top1, **_costs(outcome, inputs), **_speeds(outcome, inputs)}
        metrics |= _shares(outcome, peaks)
        if reference is not None:
            metrics |= _ratios(outcome, by_case[reference])
        case = BenchmarkCase(
            benchmark=run,
            index=index,
            model=outcome.case.model,
            mode=outcome.case.mode,
            dtype=outcome.case.dtype,
            layout=outcome.case.layout,
            compile=outcome.case.compile,
            batch=outcome.case.batch,
            unit=inputs.unit,
            image_size=_pixels(outcome.case.size) if isinstance(inputs, Images) else None,
            length=None if isinstance(inputs, Images) else steps_of(outcome.case.size),
            device=str(device),
            threads=outcome.case.threads,
            rounds=len(outcome.seconds),
            turn_s=turn_s,
            ratio_to=None if reference is None else reference.label,
            bound=_bound(metrics),
            optimized=outcome.report,
        )
        records.append(
            Record(
                kind="benchmark",
                name=outcome.case.model,
                settings=case.to_settings(),
                metrics={name: float(value) for name, value in metrics.items() if value is not None},
                history=[{"seconds": seconds} for seconds in outcome.seconds],
                environment={**circumstances, "device": describe(device, outcome.case.threads)},
                error=outcome.error,
            )
        )
    return records


def _pixels(image_size: ImageSize) -> int | str:
    """Return the side of a square, or `HEIGHTxWIDTH`."""
    height, width = as_size(image_size)
    return height if height == width else f"{height}x{width}"


def _costs(outcome: Outcome, inputs: Inputs) -> dict[str, float | None]:
    batch, work = outcome.case.batch, outcome.work
    peak_memory = None if outcome.peak_bytes is None else outcome.peak_bytes / 1e6
    costs: dict[str, float | None] = {"params": outcome.params, "macs": outcome.macs, "peak_memory_mb": peak_memory}
    if work is not None and batch is not None:
        costs |= {
            f"flops_per_{inputs.one}": work.flops / batch,
            f"bytes_per_{inputs.one}": _traffic(outcome) / batch,
        }
    return costs


def _speeds(outcome: Outcome, inputs: Inputs) -> dict[str, float | None]:
    """Return medians over the rounds, with quartiles."""
    if outcome.error is not None or not outcome.seconds or outcome.case.batch is None:
        return {}
    low, median, high = _quartiles(outcome.seconds)
    batch = outcome.case.batch
    return {
        "latency_ms": 1e3 * median,
        "latency_ms_low": 1e3 * low,
        "latency_ms_high": 1e3 * high,
        f"{inputs.unit}_per_second": batch / median,
        f"{inputs.unit}_per_second_low": batch / high,
        f"{inputs.unit}_per_second_high": batch / low,
    }


def _shares(outcome: Outcome, peaks: Peaks) -> dict[str, float | None]:
    """Return the peaks of the device, and the share of them that the network reaches."""
    peak, bandwidth, work = peaks.tflops.get(outcome.case.dtype), peaks.gb_per_second, outcome.work
    shares: dict[str, float | None] = {"peak_tflops": peak, "peak_gb_per_second": bandwidth}
    if work is None:
        return shares
    if bandwidth is not None:
        shares["bytes_ms"] = _traffic(outcome) / bandwidth / 1e6
    if peak is not None:
        shares["arithmetic_ms"] = work.flops / peak / 1e9
    if outcome.error is None and outcome.seconds:
        tflops = work.flops / statistics.median(outcome.seconds) / 1e12
        shares |= {"tflops": tflops, "peak_share": None if peak is None else tflops / peak}
    return shares


def _traffic(outcome: Outcome) -> int:
    assert outcome.work is not None
    return outcome.work.eager_bytes if outcome.case.compile == "off" else outcome.work.fused_bytes


def _bound(metrics: Mapping[str, float | None]) -> str | None:
    """Return what takes longer at the device's peaks: `arithmetic` or `bytes`."""
    arithmetic_ms, bytes_ms = metrics.get("arithmetic_ms"), metrics.get("bytes_ms")
    if arithmetic_ms is None or bytes_ms is None:
        return None
    return "arithmetic" if arithmetic_ms >= bytes_ms else "bytes"


def _ratios(outcome: Outcome, reference: Outcome) -> dict[str, float | None]:
    if outcome.error is not None or reference.error is not None or not outcome.seconds:
        return {}
    own, other = outcome.case.batch, reference.case.batch
    assert own is not None
    assert other is not None
    ratio = speed_ratio([s / own for s in outcome.seconds], [s / other for s in reference.seconds])
    return {"ratio": ratio.median, "ratio_low": ratio.low, "ratio_high": ratio.high}


def _quartiles(numbers: Sequence[float]) -> tuple[float, float, float]:
    if len(numbers) == 1:
        return numbers[0], numbers[0], numbers[0]
    low, median, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return low, median, high
