"""`modernet benchmark --traps`: the choices that cost most on this device, and how to avoid them."""

from __future__ import annotations

import itertools
import os
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from modernet.benchmark.case import LAYOUTS, Case, plan_cases
from modernet.benchmark.inputs import Images
from modernet.benchmark.measure import measuring
from modernet.benchmark.questions.processor_traps import processor_traps
from modernet.benchmark.questions.speed import DEFAULT_BATCH
from modernet.benchmark.questions.trap import Trap
from modernet.benchmark.run import run_cases
from modernet.benchmark.targets import Target, find_network, find_networks
from modernet.benchmark.workload import random_batches
from modernet.errors import InputError
from modernet.machine.device import check_threads, choose_device
from modernet.machine.peaks import product_tflops
from modernet.machine.timing import speed_ratio, time_in_turns
from modernet.preparation import ImageSize, as_size
from modernet.records import Record

KERNEL_SIZES = (3, 5, 7, 9, 11, 13)
_USUAL = 7
_CHANNELS, _STRIDE = 96, 4  # of ConvNeXt-T's first stage, where its depthwise convolutions cost most
_NATIVE = 1.5
"""A CPU has bfloat16 arithmetic if its matrix products are this many times as fast as in float32; others emulate it."""


def find_traps(
    models: Sequence[str] = ("convnext_tiny",),
    *,
    image_size: ImageSize = 224,
    batch: int | None = None,
    device: str | None = None,
    threads: int | None = None,
    rounds: int = 10,
    turn_s: float = 0.25,
    folder: str | os.PathLike[str] | None = None,
    find: Callable[[str], Target] = find_network,
) -> tuple[list[Trap], list[Record]]:
    """Change one option at a time from the usually best ones, and measure what that costs in inference.

    The best options are channels-last, compiled, all threads, and bfloat16 where the device multiplies it fast. The
    alternatives are the other layout, no compilation, float32, and on a CPU one thread and one image at a time. Layout
    is also changed without compilation, where nothing else chooses it, in every dtype that is fast. A depthwise
    convolution alone is timed with each kernel size in each layout, since its kernels are written for some of them. The
    traps of a CPU itself are in `processor_traps`.

    Returns:
        The choices, the most costly first and those that were not timed last, and the records of the networks,
        including failed ones.

    Raises:
        InputError, Stopped: as `benchmark_models`.
    """
    where = choose_device(device)
    targets = find_networks(models, find)
    inputs = targets[models[0]].inputs
    if not isinstance(inputs, Images):
        raise InputError(f"traps are known of networks for images, and {models[0]} takes {inputs.unit}")
    inputs.check(image_size)
    best = plan_cases(
        models,
        where,
        modes=("infer",),
        dtypes=(best_dtype(where),),
        layouts=("channels_last",),
        compile_modes=("default",),
        batch=DEFAULT_BATCH[where.type] if batch is None else batch,
        size=image_size,
        threads=check_threads(threads),
    )
    choices = [choice for case in best for choice in choices_around(case, where)]
    cases = list(dict.fromkeys(case for choice in choices for case in (choice.better, choice.worse)))
    where_to = None if folder is None else Path(folder)
    records = run_cases(cases, targets, where, rounds=rounds, turn_s=turn_s, folder=where_to)
    with measuring(best, where):
        times = time_kernels(best[0], where, rounds=rounds, turn_s=turn_s)
        of_processor = processor_traps(best[0], rounds=rounds, turn_s=turn_s) if where.type == "cpu" else []
    traps = [*case_traps(choices, dict(zip(cases, records, strict=True))), *kernel_traps(times), *of_processor]
    return sorted(traps, key=lambda trap: trap.cost.median if trap.cost else 0.0, reverse=True), records


@dataclass(frozen=True)
class Choice:
    """Two cases that differ in one option."""

    text: str
    better: Case
    worse: Case
    fix: str


def choices_around(best: Case, device: torch.device) -> Iterator[Choice]:
    """Yield what a user may choose instead of the best options, one option at a time."""

    def instead(fix: str, better: Case = best, **option: str | int) -> Choice:
        ((name, value),) = option.items()
        text = f"{best.model}: {name} {value} instead of {getattr(better, name)}"
        return Choice(text, better, replace(better, **option), fix)  # type: ignore[arg-type]

    yield instead("network.to(memory_format=torch.channels_last), and the images too", layout="contiguous")
    yield instead("torch.compile(network)", compile="off")
    yield from layouts_by_dtype(replace(best, compile="off"))
    if best.dtype == "bfloat16":
        yield instead("network.bfloat16() and images too; for training, torch.autocast", dtype="float32")
    if device.type == "cuda":
        tf32 = replace(best, dtype="tf32")
        yield instead('torch.set_float32_matmul_precision("high")', better=tf32, dtype="float32")
        return
    if best.threads > 1:
        yield instead(f"torch.set_num_threads({best.threads})", threads=1)
    if best.batch is not None and best.batch > 1:
        yield instead(f"batches of {best.batch}: threads have little to share in one image", batch=1)


def layouts_by_dtype(eager: Case) -> Iterator[Choice]:
    """Yield the other layout without compilation: in the dtype of a case, and in float32."""
    for dtype in dict.fromkeys((eager.dtype, "float32")):
        better = replace(eager, dtype=dtype)
        text = f"{eager.model}: layout contiguous instead of channels_last in {dtype}, not compiled"
        yield Choice(
            text, better, replace(better, layout="contiguous"), "network.to(memory_format=torch.channels_last)"
        )


def best_dtype(
    device: torch.device, tflops: Callable[[torch.device, str], float | None] = product_tflops
) -> Literal["bfloat16", "float32"]:
    """Return the fastest dtype for inference: bfloat16 on a GPU, and on a CPU with arithmetic for it.

    Args:
        tflops: measures the fastest matrix product of the device in a dtype; None where there is none.
    """
    if device.type == "cuda":
        return "bfloat16"
    half, single = tflops(device, "bfloat16"), tflops(device, "float32")
    return "bfloat16" if half is not None and single is not None and half > _NATIVE * single else "float32"


def case_traps(choices: Sequence[Choice], records: Mapping[Case, Record]) -> Iterator[Trap]:
    """Yield the cost of each choice of which both cases were measured."""
    for choice in choices:
        better, worse = records[choice.better], records[choice.worse]
        if better.error is None and worse.error is None:
            cost = speed_ratio(_seconds_of_image(choice.better, better), _seconds_of_image(choice.worse, worse))
            yield Trap(choice.text, cost, choice.fix)


def _seconds_of_image(case: Case, record: Record) -> list[float]:
    """Return the seconds that a case takes for an image, round by round."""
    assert case.batch is not None
    return [row["seconds"] / case.batch for row in record.history]


def time_kernels(case: Case, device: torch.device, *, rounds: int, turn_s: float) -> dict[tuple[int, str], list[float]]:
    """Time a depthwise convolution of ConvNeXt's first stage: (kernel size, layout) -> seconds per round.

    Args:
        case: gives batch, dtype and image size.
    """
    side = max(1, min(as_size(case.size)) // _STRIDE)
    keys = {f"depthwise {size}x{size} {layout}": (size, layout) for size in KERNEL_SIZES for layout in LAYOUTS}
    calls = {
        name: _depthwise(replace(case, layout=layout), size, side, device) for name, (size, layout) in keys.items()
    }
    times = time_in_turns(calls, device, rounds=rounds, turn_s=turn_s, name="timing kernel sizes")
    return {keys[name]: seconds for name, seconds in times.items()}


def kernel_traps(times: Mapping[tuple[int, str], Sequence[float]]) -> Iterator[Trap]:
    """Yield for each kernel size its slower layout, and for sizes above 7 the cost beyond their arithmetic.

    Args:
        times: as `time_kernels` returns them.
    """
    for size in KERNEL_SIZES:
        faster, slower = sorted(LAYOUTS, key=lambda layout: statistics.median(times[size, layout]))
        yield Trap(
            f"depthwise {size}x{size}: layout {slower} instead of {faster}",
            speed_ratio(times[size, faster], times[size, slower]),
            f"keep the tensors of this convolution {faster}",
        )
        if size <= _USUAL:
            continue
        taps = (size / _USUAL) ** 2
        for layout in LAYOUTS:
            yield Trap(
                f"depthwise {size}x{size} {layout}: time relative to its arithmetic, compared with {_USUAL}x{_USUAL}",
                speed_ratio([taps * seconds for seconds in times[_USUAL, layout]], times[size, layout]),
                f"kernels of at most {_USUAL}x{_USUAL} in this layout, or the other layout",
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
