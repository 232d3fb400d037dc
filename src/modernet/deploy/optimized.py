"""`modernet.optimize`: a network for inference, with the same answers, as fast as this device runs it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from modernet.deploy.choices import Choice, Measurement, Runner, choices, describe, measure
from modernet.deploy.rewrites import (
    fold_layer_norm_affines,
    fold_layer_scales,
    fold_norms_back,
    fold_norms_forward,
    merge_branches,
)
from modernet.errors import InputError

TOLERANCE = 1e-4
"""How far scores may be from the original's in float32, relative to the largest one."""

_REWRITES: tuple[tuple[str, Callable[[nn.Module, Tensor], int]], ...] = (
    ("parallel branches merged", merge_branches),
    ("BatchNorms folded into the layer before", fold_norms_back),
    ("BatchNorms folded into the layers after", fold_norms_forward),
    ("LayerNorm affines folded into the layers after", fold_layer_norm_affines),
    ("layer scales folded into the layer before", fold_layer_scales),
)


@dataclass(frozen=True)
class Rewrite:
    """One kind of rewrite: how often it was made, or why it was not kept."""

    name: str
    count: int
    failure: str = ""


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
    """What `optimize` returns: called like the network that it was made from, for pictures of one size.

    Attributes:
        report: what was rewritten and measured.
    """

    def __init__(self, runner: Runner, size: tuple[int, ...], report: Report) -> None:
        super().__init__()
        self.runner = runner
        self.report = report
        self._size = size

    def forward(self, pictures: Tensor) -> Any:
        """`(b, c, h, w)` with any b; c, h and w are the example's.

        Raises:
            InputError: pictures of another size.
        """
        if pictures.ndim != 4 or tuple(pictures.shape[1:]) != self._size:
            given, (c, h, w) = "x".join(map(str, pictures.shape)), self._size
            raise InputError(
                f"pictures are {given}; this network was optimized for (batch)x{c}x{h}x{w}: resize them, or call "
                "optimize with an example of their size"
            )
        return self.runner(pictures)


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
    network pads, shifts or resamples other pictures differently, a rewrite could be wrong for them. So the size of the
    pictures is fixed; their number is not. Rewrites and ways to run whose scores are not the original's are not used,
    and the report says so.

    Weights are constants from now on: training goes on with `model`.

    Args:
        model: any module that maps pictures to tensors, of this library or not.
        example_input: `(b, c, h, w)`, pictures such as will come, on the network's device; their number is the batch
            that is measured.
        dtype: in which to compute; None is the network's. Weights are folded in float32 and cast afterwards.
        compile: whether compiling is tried. It takes from seconds to minutes, and again under `torch.inference_mode`.
            Where it does not work, for want of a C++ compiler, say, the network runs without, and the report says why.
        seconds: how long the measurement takes, without compiling and warming up.

    Returns:
        A module that takes `(b, c, h, w)` in any dtype, and gives what `model` does, in `dtype` and without gradients.

    Raises:
        InputError: an example that is no batch of pictures or on another device than the network, a dtype that is not
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
            raise InputError(f"run twice on the same pictures, the network's {again}; give one that does no such thing")
        # twice the error that plain PyTorch makes in this dtype, on this device
        tolerance = max(TOLERANCE, 2 * _error(plain, expected))

        def check_rewritten(changed: nn.Module) -> str:
            failure = disagreement(_exactly(changed, few), expected, TOLERANCE)
            if not failure and dtype != exact:
                failure = disagreement(copy.deepcopy(changed).to(dtype)(few.to(dtype)), expected, tolerance)
            return failure

        def check_runner(runner: nn.Module) -> str:
            return disagreement(_first(runner(example_input), len(few)), expected, tolerance)

        network, rewrites = rewritten(network, few, check_rewritten)
        among = choices(network, example_input.device, len(example_input), compile=compile)
        runner, measured = measure(network, example_input, dtype, among, check_runner, seconds)
    batch, *size = example_input.shape
    names = str(example_input.device), str(dtype).removeprefix("torch.")
    return OptimizedNetwork(runner, tuple(size), Report(tuple(rewrites), tuple(measured), runner.choice, batch, *names))


def _check(model: nn.Module, example: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """The dtype to compute in, if what was given can be used."""
    if not isinstance(example, Tensor) or not example.is_floating_point() or example.ndim != 4 or not len(example):
        given = f"{tuple(example.shape)} {example.dtype}" if isinstance(example, Tensor) else type(example).__name__
        raise InputError(f"example_input is {given}; give pictures as numbers of floating point, (b, c, h, w)")
    if dtype is not None and not dtype.is_floating_point:
        raise InputError(
            f"dtype is {dtype}; give torch.float32, torch.bfloat16, torch.float16, or None for the model's"
        )
    weight = next((p for p in model.parameters() if p.is_floating_point()), example)
    if weight.device != example.device:
        raise InputError(f"the network is on {weight.device} and example_input on {example.device}; move one of them")
    return weight.dtype if dtype is None else dtype


def rewritten(
    network: nn.Module, pictures: Tensor, check: Callable[[nn.Module], str]
) -> tuple[nn.Module, list[Rewrite]]:
    """The network with every rewrite that stands the check."""
    rewrites = []
    for name, rewrite in _REWRITES:
        changed = copy.deepcopy(network)
        count = rewrite(changed, pictures)
        changed.requires_grad_(False)
        try:
            failure = check(changed) if count else ""
        except Exception as error:  # a forward pass may want anything of what was taken away
            failure = describe(error)
        if count and not failure:
            network = changed
        rewrites.append(Rewrite(name, 0 if failure else count, failure))
    return network, rewrites


def disagreement(found: Any, expected: Any, tolerance: float) -> str:
    """What is wrong with results, in a line; nothing if they agree."""
    error = _error(found, expected)
    return "" if error <= tolerance else f"results differ by {error:.1e} of the largest, more than {tolerance:.1e}"


def _error(found: Any, expected: Any) -> float:
    """The largest difference relative to the largest number, over tensors in anything nested."""
    pairs = zip(_tensors(found), _tensors(expected), strict=True)
    errors = [(a.to(b.dtype) - b).abs().max() / b.abs().max().clamp_min(torch.finfo(b.dtype).tiny) for a, b in pairs]
    return max((float(error.nan_to_num(torch.inf)) for error in errors), default=0.0)


def _first(results: Any, count: int) -> list[Tensor]:
    return [tensor[:count] for tensor in _tensors(results)]


def _tensors(results: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(results) if isinstance(leaf, Tensor)]


def _exactly(network: nn.Module, pictures: Tensor) -> Any:
    """What a network gives, with all bits of float32 on a GPU, where torch's convolutions use fewer unless told to."""
    backends = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        return network(pictures)
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
