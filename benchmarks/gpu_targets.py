"""The speeds that modernet's networks should reach on a GPU, and their measurement; step 3 of `gpu_session.py`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet.benchmark import benchmark_models
from modernet.machine.timing import Ratio, speed_ratio
from modernet.records import Record


@dataclass(frozen=True)
class Comparison:
    """Two networks side by side, with targets.

    Attributes:
        ours: the network with targets.
        theirs: the network that it is compared with, in every compile mode and layout given here.
        targets: the least speed relative to the fastest of theirs, per compile mode.
        absolute: the least number of images per second.
    """

    name: str
    ours: str
    theirs: str
    mode: str
    targets: dict[str, float]
    batch: int
    compile_ours: bool = False
    layouts: tuple[str, ...] = ("channels_last", "contiguous")
    image_size: int = 224
    dtype: str = "bfloat16"
    absolute: float | None = None


_INFER = {"off": 3.0, "default": 1.8}
_TRAIN = {"default": 1.5}
FULL = (
    Comparison(
        "convnext_tiny", "optimized:convnext_tiny", "timm:convnext_tiny", "infer", _INFER, 256, absolute=30_000
    ),
    Comparison(
        "convnext_tiny-train", "benchmarks.with_kernels:convnext_tiny", "timm:convnext_tiny", "train",
        _TRAIN, 128, compile_ours=True, layouts=("channels_last",),
    ),
    Comparison(
        "convnextv2_tiny", "optimized:convnextv2_tiny", "timm:convnextv2_tiny", "infer", {"default": 1.5}, 256,
        layouts=("channels_last",),
    ),
    Comparison(
        "swin_tiny", "optimized:swin_tiny", "timm:swin_tiny_patch4_window7_224", "infer", {"default": 1.2}, 256,
        layouts=("contiguous",),
    ),
    Comparison(
        "convnext_base", "optimized:convnext_base", "timm:convnext_base", "infer", _INFER, 128,
        layouts=("channels_last",),
    ),
    Comparison(
        "convnextv2_tiny-train", "benchmarks.with_kernels:convnextv2_tiny", "timm:convnextv2_tiny", "train",
        _TRAIN, 128, compile_ours=True, layouts=("channels_last",),
    ),
    Comparison(
        "convnext_base-train", "benchmarks.with_kernels:convnext_base", "timm:convnext_base", "train",
        _TRAIN, 64, compile_ours=True, layouts=("channels_last",),
    ),
    Comparison(
        "convnext_small", "optimized:convnext_small", "timm:convnext_small", "infer", _INFER, 256,
        layouts=("channels_last",),
    ),
)  # fmt: skip
REHEARSAL = (
    Comparison(
        "convnext_test", "optimized:convnext_test", "timm:test_convnext", "infer", _INFER, 2,
        image_size=64, dtype="float32", layouts=("channels_last",), absolute=30_000,
    ),
    Comparison(
        "convnextv2_test-train", "benchmarks.with_kernels:convnextv2_test", "timm:test_convnext2", "train",
        _TRAIN, 2, image_size=64, dtype="float32", layouts=("channels_last",), compile_ours=True,
    ),
)  # fmt: skip


def compile_theirs(comparison: Comparison, device: torch.device) -> None:
    """Compile the other network of a comparison, so that its code is in torch's cache; times are discarded."""
    benchmark_models(
        [comparison.theirs], modes=[comparison.mode], dtypes=[comparison.dtype], layouts=comparison.layouts,
        compile_modes=["default"], batch=comparison.batch, image_size=comparison.image_size, device=str(device),
        rounds=1, turn_s=0.0,
    )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """A target and its measurement; None if it was not measured."""

    name: str
    wanted: str
    measured: Ratio | float | None
    reached: bool | None
    note: str = ""


def compare(comparison: Comparison, device: torch.device, folder: Path) -> list[Verdict]:
    """Measure both networks in turns, and return the targets of the comparison with their measurements."""
    modes = list(comparison.targets)
    compile_modes = sorted({*modes, *(["default"] if comparison.compile_ours else [])}, reverse=True)
    records = benchmark_models(
        [comparison.theirs, comparison.ours], modes=[comparison.mode], dtypes=[comparison.dtype],
        layouts=comparison.layouts, compile_modes=compile_modes, batch=comparison.batch,
        image_size=comparison.image_size, device=str(device), rounds=8, turn_s=0.15,
        folder=folder / comparison.name,
    )  # fmt: skip
    ours = _fastest(record for record in records if record.name == comparison.ours)
    verdicts = []
    for mode, target in comparison.targets.items():
        theirs = _fastest(r for r in records if r.name == comparison.theirs and r.settings["compile"] == mode)
        how = "eager" if mode == "off" else "compiled"
        name = f"{comparison.name}: {comparison.ours} against {comparison.theirs} {how}"
        if ours is None or theirs is None:
            errors = "; ".join(sorted({f"{r.name}: {r.error}" for r in records if r.error}))
            verdicts.append(Verdict(name, f"{target:g}x", None, None, errors))
            continue
        ratio = speed_ratio(_seconds(ours), _seconds(theirs))
        verdicts.append(Verdict(name, f"{target:g}x", ratio, ratio.low >= target, theirs.settings["layout"]))
    if comparison.absolute is not None:
        speed = None if ours is None else ours.metrics["images_per_second"]
        reached = None if speed is None else speed >= comparison.absolute
        verdicts.append(Verdict(f"{comparison.name}: images/s", f"{comparison.absolute:,.0f}", speed, reached))
    return verdicts


def _fastest(records: Iterator[Record]) -> Record | None:
    finished = [record for record in records if record.error is None]
    return max(finished, key=lambda record: record.metrics["images_per_second"], default=None)


def _seconds(record: Record) -> list[float]:
    return [row["seconds"] for row in record.history]


def large_kernel_verdict(rows: Sequence[dict[str, Any]]) -> Verdict:
    """Return the target for the 31x31 depthwise convolution, forward, from the rows of `time_kernels`."""
    for row in rows:
        if row["kernel"] == "depthwise_conv" and row["shape"][-1] == 31 and not row["training"] and "ratios" in row:
            ratio = Ratio(**row["ratios"]["pytorch"])
            return Verdict(f"31x31 depthwise against torch's own, {row['about']}", "5x", ratio, ratio.low >= 5)
    return Verdict("31x31 depthwise against torch's own", "5x", None, None)


def targets_table(verdicts: Sequence[Verdict], device: str, tests: str) -> str:
    """Return the targets as a page of Markdown."""
    lines = [
        f"# Targets on {device}", "", f"Tests of the kernels: {tests}", "",
        "| what | target | measured | 95 % interval | reached | |", "|---|---:|---:|---:|---|---|",
    ]  # fmt: skip
    for verdict in verdicts:
        measured, interval = "not measured", ""
        if isinstance(verdict.measured, Ratio):
            measured = f"{verdict.measured.median:.2f}x"
            interval = f"{verdict.measured.low:.2f} to {verdict.measured.high:.2f}"
        elif verdict.measured is not None:
            measured = f"{verdict.measured:,.0f}"
        reached = {True: "yes", False: "no", None: ""}[verdict.reached]
        lines.append(f"| {verdict.name} | {verdict.wanted} | {measured} | {interval} | {reached} | {verdict.note} |")
    return "\n".join(lines) + "\n"
