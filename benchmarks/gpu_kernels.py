"""Time every kernel of modernet against plain PyTorch and the same compiled; step 2 of `gpu_session.py`."""

from __future__ import annotations

import dataclasses
import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from modernet import kernels, progress
from modernet.kernels.backend import Measured
from modernet.machine.timing import speed_ratio, time_in_turns


@dataclass(frozen=True)
class Plan:
    """The shapes to time."""

    batch: int
    rounds: int
    stages: tuple[tuple[int, int], ...]
    """Channels and side of the maps in ConvNeXts."""
    large_kernels: tuple[tuple[int, int, int], ...]
    """Channels, side and kernel size of networks with large kernels."""


FULL = Plan(
    batch=128,
    rounds=7,
    stages=((96, 56), (192, 28), (384, 14), (768, 7), (128, 56), (256, 28), (512, 14), (1024, 7)),
    large_kernels=((128, 56, 31), (256, 28, 29), (512, 14, 27), (1024, 7, 13)),
)
REHEARSAL = Plan(batch=1, rounds=2, stages=((24, 5),), large_kernels=((16, 5, 31),))


@dataclass(frozen=True)
class Problem:
    """A kernel on tensors of one shape.

    Attributes:
        shape: the numbers by which `use_triton` finds it in the table.
        about: the shape, for people.
        call: the operation; takes a backend and the tensors.
    """

    kernel: str
    shape: tuple[int, ...]
    about: str
    tensors: tuple[Tensor, ...]
    call: Callable[..., Tensor] = field(repr=False)

    @property
    def positions(self) -> int:
        return self.tensors[0].numel() // self.shape[0]


def time_kernels(plan: Plan, device: torch.device, until: float) -> tuple[list[Measured], list[dict[str, Any]]]:
    """Time every problem, forward, and forward with backward, until the time is up.

    Args:
        until: when to stop, as `time.monotonic` counts.

    Returns:
        The table for the package, whose ratio is relative to the faster of plain PyTorch and the same compiled; and
        rows with all times.
    """
    table: list[Measured] = []
    rows: list[dict[str, Any]] = []
    device_name = torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"
    cases = list(itertools.product(problems(plan, device, torch.bfloat16), (False, True)))
    for problem, training in progress.track(cases, "kernels", len(cases)):
        row: dict[str, Any] = {
            "kernel": problem.kernel, "about": problem.about, "shape": problem.shape, "training": training
        }  # fmt: skip
        rows.append(row)
        if time.monotonic() > until:
            row["error"] = "no time was left"
            continue
        try:
            times = _time_problem(problem, training, device, plan.rounds)
        except Exception as error:  # a kernel that fails is recorded as such, and not used
            row["error"] = f"{type(error).__name__}: {error}".splitlines()[0][:300]
            continue
        ratios = {name: speed_ratio(times["triton"], times[name]) for name in ("pytorch", "compiled")}
        row["microseconds"] = {
            name: round(1e6 * sorted(seconds)[len(seconds) // 2], 2) for name, seconds in times.items()
        }
        row["ratios"] = {name: dataclasses.asdict(ratio) for name, ratio in ratios.items()}
        low = min(ratio.low for ratio in ratios.values())
        table.append(
            Measured(problem.kernel, device_name, "bfloat16", problem.shape, problem.positions, training, round(low, 3))
        )
    return table, rows


def problems(plan: Plan, device: torch.device, dtype: torch.dtype) -> Iterator[Problem]:
    """Yield every kernel on every shape of the plan, the largest maps first, where a kernel gains most."""
    b = plan.batch

    def random(*shape: int, std: float = 1.0) -> Tensor:
        return (torch.randn(shape, device=device) * std).to(dtype)

    def channels_last(c: int, side: int) -> Tensor:
        return random(b, c, side, side).contiguous(memory_format=torch.channels_last)

    def block(c: int, side: int, k: int) -> Iterator[Problem]:
        depthwise = (channels_last(c, side), random(c, 1, k, k, std=1 / k), random(c))
        yield Problem("depthwise_conv", (c, k), f"{c} x {side}, {k}x{k}", depthwise, _depthwise_conv)
        norm = (*depthwise, random(c), random(c))
        yield Problem("depthwise_layer_norm", (c, k), f"{c} x {side}, {k}x{k}", norm, _depthwise_layer_norm)

    for c, side in plan.stages:
        yield from block(c, side, 7)
        mlp = (
            random(b, side, side, c), channels_last(c, side), random(4 * c, c, std=c**-0.5), random(4 * c),
            random(c, 4 * c, std=(4 * c) ** -0.5), random(c), random(c),
        )  # fmt: skip
        yield Problem("mlp_residual", (c, 4 * c), f"{c} x {side}", mlp, _mlp_residual)
        grn = (random(b, side, side, 4 * c), random(1, 1, 1, 4 * c), random(1, 1, 1, 4 * c))
        yield Problem("gelu_grn", (4 * c,), f"{4 * c} x {side}", grn, _gelu_grn)
        maps = channels_last(c, side), random(b, c, side, side)
        for x in maps:
            last = int(x.is_contiguous(memory_format=torch.channels_last))
            about = f"{c} x {side}, {'channels last' if last else 'contiguous'}"
            yield Problem("layer_norm", (c, last), about, (x, random(c), random(c)), _layer_norm)
    for c, side, k in plan.large_kernels:
        yield from block(c, side, k)
    for k in (3, 5, 9, 11, 13):
        yield from block(*plan.stages[0], k)


def _depthwise_conv(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.depthwise_conv(*tensors, backend=backend)


def _depthwise_layer_norm(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.depthwise_layer_norm(*tensors, backend=backend)


def _mlp_residual(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.mlp_residual(*tensors, backend=backend)


def _gelu_grn(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.gelu_grn(*tensors, backend=backend)


def _layer_norm(backend: kernels.Backend, *tensors: Tensor) -> Tensor:
    return kernels.layer_norm(*tensors, channels_dim=1, backend=backend)


def _time_problem(problem: Problem, training: bool, device: torch.device, rounds: int) -> dict[str, list[float]]:
    def step(operation: Callable[..., Tensor], backend: kernels.Backend) -> Callable[[], None]:
        leaves = [tensor.detach().clone().requires_grad_(training) for tensor in problem.tensors]
        gradient = torch.randn_like(problem.call("reference", *problem.tensors))

        def run() -> None:
            y = operation(backend, *leaves)
            if training:
                torch.autograd.grad(y, leaves, gradient)

        return run

    torch._dynamo.reset()
    calls = {
        "triton": step(problem.call, "triton"),
        "pytorch": step(problem.call, "reference"),
        "compiled": step(torch.compile(problem.call, dynamic=False), "reference"),
    }
    with torch.set_grad_enabled(training):
        return time_in_turns(calls, device, rounds=rounds, turn_s=0.02, warm_up=3)
