"""`modernet benchmark --traps`: what costs a user most on this device, and the mend."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor, nn

from modernet.benchmark.case import LAYOUTS, Case, plan_cases
from modernet.benchmark.measure import measuring
from modernet.benchmark.questions.speed import DEFAULT_BATCH
from modernet.benchmark.run import run_cases
from modernet.benchmark.workload import random_batches
from modernet.machine.device import check_threads, choose_device
from modernet.machine.peaks import measure_peaks
from modernet.machine.timing import Ratio, speed_ratio, time_in_turns
from modernet.records import Record

KERNEL_SIZES = (3, 5, 7, 9, 11, 13)
_USUAL = 7
_CHANNELS, _STRIDE = 96, 4  # of ConvNeXt-T's first stage, where its depthwise convolutions cost most
_NATIVE = 1.5
"""A CPU has bfloat16 arithmetic if its products are so many times as fast as float32's; others emulate it."""


@dataclass(frozen=True)
class Trap:
    """A choice that may cost speed.

    Attributes:
        what: the choice: `convnext_tiny, layout contiguous`.
        cost: how many times as long it takes as the better choice, with its 95 % interval.
        mend: what to do about it, in a line.
    """

    what: str
    cost: Ratio
    mend: str

    @property
    def is_one(self) -> bool:
        """Whether it costs anything beyond the noise."""
        return self.cost.low > 1.0


def find_traps(
    models: Sequence[str] = ("convnext_tiny",),
    *,
    image_size: int = 224,
    batch: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    rounds: int = 10,
    turn_s: float = 0.25,
    folder: str | os.PathLike[str] | None = None,
) -> tuple[list[Trap], list[Record]]:
    """Change one choice at a time from what is usually best, and see what that costs in inference.

    The best is channels-last, compiled, on all threads, in bfloat16 where the device multiplies it fast. The choices
    are the other layout, no compilation, float32, one thread; and for a depthwise convolution alone, whose kernels are
    written for some sizes and layouts, each kernel size in each layout.

    Returns:
        The choices, the most costly first, and the records of the networks' cases, failed ones among them.

    Raises:
        InputError, Stopped: as `benchmark_models`.
    """
    where = choose_device(device)
    dtype = _best_dtype(where)
    best = plan_cases(
        models,
        where,
        modes=("infer",),
        dtypes=(dtype,),
        layouts=("channels_last",),
        compile_modes=("default",),
        batch=DEFAULT_BATCH[where.type] if batch is None else batch,
        image_size=image_size,
        threads=check_threads(threads),
    )
    choices = [choice for case in best for choice in _choices(case, where)]
    cases = list(dict.fromkeys(case for choice in choices for case in (choice.better, choice.worse)))
    records = run_cases(cases, where, rounds=rounds, turn_s=turn_s, folder=None if folder is None else Path(folder))
    times = {case: _seconds(record) for case, record in zip(cases, records, strict=True)}
    traps = [
        Trap(choice.what, speed_ratio(times[choice.better], times[choice.worse]), choice.mend)
        for choice in choices
        if times[choice.better] and times[choice.worse]
    ]
    with measuring(best, where):
        traps += _kernel_traps(best[0], where, rounds=rounds, turn_s=turn_s)
    return sorted(traps, key=lambda trap: trap.cost.median, reverse=True), records


@dataclass(frozen=True)
class _Choice:
    """Two cases that differ in one option."""

    what: str
    better: Case
    worse: Case
    mend: str


def _choices(best: Case, device: torch.device) -> Iterator[_Choice]:
    """What a user may choose instead of the best, one option at a time."""

    def instead(mend: str, better: Case = best, **option: str | int) -> _Choice:
        ((name, value),) = option.items()
        words = f"{best.model}: {name} {value} instead of {getattr(better, name)}"
        return _Choice(words, better, replace(better, **option), mend)  # type: ignore[arg-type]

    yield instead("network.to(memory_format=torch.channels_last), and the images too", layout="contiguous")
    yield instead("torch.compile(network)", compile="off")
    if best.dtype == "bfloat16":
        yield instead("network.bfloat16() and images too; for training, torch.autocast", dtype="float32")
    if device.type == "cuda":
        tf32 = replace(best, dtype="tf32")
        yield instead('torch.set_float32_matmul_precision("high")', better=tf32, dtype="float32")
    elif best.threads > 1:
        yield instead(f"torch.set_num_threads({best.threads})", threads=1)


def _best_dtype(device: torch.device) -> str:
    if device.type == "cuda":
        return "bfloat16"
    products = measure_peaks(device, ("float32", "bfloat16")).tflops
    return "bfloat16" if products.get("bfloat16", 0.0) > _NATIVE * products["float32"] else "float32"


def _seconds(record: Record) -> list[float]:
    return [] if record.error is not None else [row["seconds"] for row in record.history]


def _kernel_traps(case: Case, device: torch.device, *, rounds: int, turn_s: float) -> Iterator[Trap]:
    """Depthwise convolutions: in which layout a kernel size is slow, and where time grows faster than arithmetic."""
    side = max(1, case.image_size // _STRIDE)
    calls = {
        f"depthwise {size}x{size} {layout}": _depthwise(replace(case, layout=layout), size, side, device)
        for size in KERNEL_SIZES
        for layout in LAYOUTS
    }
    times = time_in_turns(calls, device, rounds=rounds, turn_s=turn_s, name="timing kernel sizes")
    for size in KERNEL_SIZES:
        by_layout = {layout: times[f"depthwise {size}x{size} {layout}"] for layout in LAYOUTS}
        faster, slower = sorted(LAYOUTS, key=lambda layout: statistics.median(by_layout[layout]))
        yield Trap(
            f"depthwise {size}x{size}: layout {slower} instead of {faster}",
            speed_ratio(by_layout[faster], by_layout[slower]),
            f"keep the tensors of this convolution {faster}",
        )
        if size <= _USUAL:
            continue
        taps = (size / _USUAL) ** 2
        for layout, own in by_layout.items():
            usual = times[f"depthwise {_USUAL}x{_USUAL} {layout}"]
            yield Trap(
                f"depthwise {size}x{size} {layout}: time for its arithmetic, against {_USUAL}",
                speed_ratio([taps * seconds for seconds in usual], own),
                f"kernels of {_USUAL} and less in this layout, or the other layout",
            )


def _depthwise(case: Case, size: int, side: int, device: torch.device) -> Callable[[], Tensor]:
    assert case.batch is not None
    shape = (case.batch, _CHANNELS, side, side)
    layer = nn.Conv2d(_CHANNELS, _CHANNELS, size, padding=size // 2, groups=_CHANNELS, device=device)
    layer = layer.to(case.tensor_dtype).to(memory_format=case.memory_format)
    rotation = itertools.cycle(random_batches(shape, case.tensor_dtype, case.memory_format, device))

    def call() -> Tensor:
        with torch.inference_mode():
            y: Tensor = layer(next(rotation))
        return y

    return call
