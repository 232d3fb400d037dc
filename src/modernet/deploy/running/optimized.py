"""`modernet.optimize`: a network for inference, with the same answers, as fast as this device runs it."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from modernet.deploy.agreement import disagreement, relative_error
from modernet.deploy.rewriting.apply import Rewrite, apply_rewrites
from modernet.deploy.running.choices import Choice, Measurement, Runner, choices, measure
from modernet.errors import InputError
from modernet.torch_internals import tensors_in

TOLERANCE = 1e-4
"""How far scores may be from the original's in float32, relative to the largest one."""


@dataclass(frozen=True)
class Report:
    """What `optimize` did.

    Attributes:
        rewrites: every kind of rewrite, those that found nothing included.
        measured: the speed of every way to run the network, or why it was not measured.
        chosen: the way that it runs now, the fastest of them.
        batch, device, dtype: of the example, and in which everything is computed.
    """

    rewrites: tuple[Rewrite, ...]
    measured: tuple[Measurement, ...]
    chosen: Choice
    batch: int
    device: str
    dtype: str

    def __str__(self) -> str:
        lines = ["rewrites"]
        lines += [f"  {r.count:>4}  {r.name}{r.failure and f' (not kept: {r.failure})'}" for r in self.rewrites]
        lines.append(f"images/s, batch {self.batch}, {self.dtype}, {self.device}")
        for m in self.measured:
            mark = "*" if m.choice == self.chosen else " "
            speed = "   --" if m.images_per_second is None else f"{m.images_per_second:.5g}"
            lines.append(f"{mark} {speed:>8}  {m.choice}{m.failure and f' ({m.failure})'}")
        return "\n".join(lines)


class OptimizedNetwork(nn.Module):
    """What `optimize` returns: called like the network that it was made from, for images of one size.

    Attributes:
        report: what was rewritten and measured.
    """

    def __init__(self, runner: Runner, size: tuple[int, ...], report: Report) -> None:
        super().__init__()
        self.runner = runner
        self.report = report
        self._size = size

    def forward(self, images: Tensor) -> Any:
        """`(b, c, h, w)` with any b; c, h and w are the example's.

        Raises:
            InputError: images of another size.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != self._size:
            given, (c, h, w) = "x".join(map(str, images.shape)), self._size
            raise InputError(
                f"images are {given}; this network was optimized for (batch)x{c}x{h}x{w}: resize them, or call "
                "optimize with an example of their size"
            )
        return self.runner(images)


def optimize(
    model: nn.Module,
    example_input: Tensor,
    *,
    dtype: torch.dtype | None = None,
    compile: bool = True,
    seconds: float = 5.0,
) -> OptimizedNetwork:
    """Make a network for inference: the same answers, faster. `model` is left as it is.

    First exact rewrites, on a copy in evaluation mode: BatchNorm into the layers beside it, the affine part of
    LayerNorm into the layers after it, layer scale into the layer before it, parallel branches into one. Then the ways
    to run it are measured on the example by turns, and the fastest is kept: layout, `torch.compile` with frozen
    weights, on a GPU also CUDA graphs and the fused kernels of this library. What was done is in `report`:

    >>> network = optimize(model, torch.randn(8, 3, 224, 224))  # doctest: +SKIP
    >>> print(network.report)  # doctest: +SKIP

    What may be rewritten is seen in one forward pass of the example, so it holds for the path which that took: where a
    network pads, shifts or resamples other images differently, a rewrite could be wrong for them. So the size of the
    images is fixed; their number is not. Rewrites and ways to run whose scores are not the original's are not used,
    and the report says so.

    Weights are constants from now on: training goes on with `model`.

    Args:
        model: any module that maps images to tensors, of this library or not.
        example_input: `(b, c, h, w)`, images such as will come, on the network's device; their number is the batch
            that is measured.
        dtype: in which to compute; None is the network's. Weights are folded in float32 and cast afterwards.
        compile: whether compiling is tried. It takes from seconds to minutes, and again under `torch.inference_mode`.
            Where it does not work, for want of a C++ compiler, say, the network runs without, and the report says why.
        seconds: how long the measurement takes, without compiling and warming up.

    Returns:
        A module that takes `(b, c, h, w)` in any dtype, and gives what `model` does, in `dtype` and without gradients.

    Raises:
        InputError: an example that is no batch of images or on another device than the network, a dtype that is not
            one of floating point, or a network that gives something else each time.
    """
    dtype = _check(model, example_input, dtype)
    with torch.inference_mode(False), torch.no_grad():
        exact = torch.promote_types(dtype, torch.float32)
        network = copy.deepcopy(model).eval().requires_grad_(False)
        few = example_input[:2].to(exact, copy=True)
        plain = copy.deepcopy(network).to(dtype)(few.to(dtype))
        network = network.to(exact)
        expected = _exactly(network, few)
        again = disagreement(_exactly(network, few), expected, TOLERANCE)
        if again:
            raise InputError(f"run twice on the same images, the network's {again}; give one that does no such thing")
        # twice the error that plain PyTorch makes in this dtype, on this device
        tolerance = max(TOLERANCE, 2 * relative_error(plain, expected))

        def check_rewritten(changed: nn.Module) -> str:
            failure = disagreement(_exactly(changed, few), expected, TOLERANCE)
            if not failure and dtype != exact:
                failure = disagreement(copy.deepcopy(changed).to(dtype)(few.to(dtype)), expected, tolerance)
            return failure

        def check_runner(runner: nn.Module) -> str:
            return disagreement(_first(runner(example_input), len(few)), expected, tolerance)

        network, rewrites = apply_rewrites(network, few, check_rewritten)
        among = choices(network, example_input.device, len(example_input), compile=compile)
        runner, measured = measure(network, example_input, dtype, among, check_runner, seconds)
    batch, *size = example_input.shape
    names = str(example_input.device), str(dtype).removeprefix("torch.")
    return OptimizedNetwork(runner, tuple(size), Report(tuple(rewrites), tuple(measured), runner.choice, batch, *names))


def _check(model: nn.Module, example: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """The dtype to compute in, if what was given can be used."""
    if not isinstance(example, Tensor) or not example.is_floating_point() or example.ndim != 4 or not len(example):
        given = f"{tuple(example.shape)} {example.dtype}" if isinstance(example, Tensor) else type(example).__name__
        raise InputError(f"example_input is {given}; give images as numbers of floating point, (b, c, h, w)")
    if dtype is not None and not dtype.is_floating_point:
        raise InputError(
            f"dtype is {dtype}; give torch.float32, torch.bfloat16, torch.float16, or None for the model's"
        )
    weight = next((p for p in model.parameters() if p.is_floating_point()), example)
    if weight.device != example.device:
        raise InputError(f"the network is on {weight.device} and example_input on {example.device}; move one of them")
    return weight.dtype if dtype is None else dtype


def _first(results: Any, count: int) -> list[Tensor]:
    return [tensor[:count] for tensor in tensors_in(results)]


def _exactly(network: nn.Module, images: Tensor) -> Any:
    """What a network gives, with all bits of float32 on a GPU, where torch's convolutions use fewer unless told to."""
    backends = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        return network(images)
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
