"""`modernet.optimize`: the same network, as fast as this device can run it in inference."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from modernet.deploy.agreement import TOLERANCE, disagreement, relative_error
from modernet.deploy.rewriting.apply import apply_rewrites
from modernet.deploy.running.detector import OptimizedDetector, optimize_detector
from modernet.deploy.running.racing import pick_fastest
from modernet.deploy.running.report import Report
from modernet.deploy.running.torch_ways import PyTorch
from modernet.deploy.running.way import Runner, Work
from modernet.detection.network import RCNN
from modernet.errors import InputError
from modernet.torch_internals import tensors_in


class OptimizedNetwork(nn.Module):
    """The result of `optimize`; called like the original network, with images of one size.

    Attributes:
        report: rewrites and measurements.
    """

    def __init__(self, runner: Runner, size: tuple[int, ...], report: Report) -> None:
        super().__init__()
        self.runner = runner
        self.report = report
        self._size = size

    def forward(self, images: Tensor) -> Any:
        """Run on images `(b, c, h, w)` of any batch size; c, h and w must be the example's.

        Raises:
            InputError: the images have another size.
        """
        if images.ndim != 4 or tuple(images.shape[1:]) != self._size:
            shape, (c, h, w) = "x".join(map(str, images.shape)), self._size
            raise InputError(
                f"images are {shape}; this network was optimized for (batch)x{c}x{h}x{w}: resize them, or call "
                "optimize with an example of that size"
            )
        return self.runner(images)


def optimize(
    model: nn.Module,
    example_input: Tensor,
    *,
    dtype: torch.dtype | None = None,
    compile: bool = True,
    seconds: float = 5.0,
) -> OptimizedNetwork | OptimizedDetector:
    """Return a faster network for inference with the same results. `model` is left unchanged.

    First, exact rewrites on a copy in evaluation mode: fold BatchNorms into adjacent layers, LayerNorm affines into the
    layers after them and layer scales into the layer before them, and merge parallel branches. Then several ways to run
    the network are timed on the example, interleaved, and the fastest is kept: memory format, `torch.compile` with
    frozen weights and, on a GPU, CUDA graphs and this library's fused kernels. `report` lists what was done:

    >>> network = optimize(model, torch.randn(8, 3, 224, 224))  # doctest: +SKIP
    >>> print(network.report)  # doctest: +SKIP

    Rewrites are derived from one forward pass of the example and hold for its execution path. A network that pads,
    shifts or resamples depending on image size could need others, so the image size is fixed; the batch size is not.
    Rewrites and ways to run whose results differ from the original's are discarded and listed in the report.

    Of a detector (`RCNN`), everything before the proposals is optimized as one network, and the heads eagerly, as the
    number of their boxes varies. What it finds is the same, to rounding; the size is fixed up to its padding to 32.

    The weights become constants; continue training with `model`.

    Args:
        model: any module that maps images to tensors, from this library or not; or an `RCNN`.
        example_input: `(b, c, h, w)`, typical images on the network's device; b is the batch size that is timed.
        dtype: dtype of the computation; None for the network's. Weights are folded in float32 and cast afterwards.
        compile: try `torch.compile`, which takes seconds to minutes. If it fails, for example without a C++ compiler,
            the network runs uncompiled and the report says why.
        seconds: duration of the timing, excluding compilation and warm-up.

    Returns:
        A module that takes `(b, c, h, w)` in any dtype and returns the results of `model`, in `dtype` and without
        gradients.

    Raises:
        InputError: the example is not a batch of images or not on the network's device, the dtype is not floating
            point, or the network returns no tensors or is not deterministic.
    """
    dtype = _check(model, example_input, dtype)
    if not isinstance(model, RCNN):
        runner, report = _optimize(model, example_input, dtype, compile, seconds)
        return OptimizedNetwork(runner, tuple(example_input.shape[1:]), report)
    each = seconds / (1 + 2 * len(model.config.stages))

    def part(network: nn.Module, example: Tensor, compile: bool) -> tuple[Runner, Report]:
        return _optimize(network, example, dtype, compile, each)

    with torch.inference_mode(False), torch.no_grad():
        return optimize_detector(model, example_input, partial(part, compile=compile), partial(part, compile=False))


def _optimize(
    model: nn.Module, example_input: Tensor, dtype: torch.dtype, compile: bool, seconds: float
) -> tuple[Runner, Report]:
    with torch.inference_mode(False), torch.no_grad():
        exact = torch.promote_types(dtype, torch.float32)
        network = copy.deepcopy(model).eval().requires_grad_(False)
        sample = example_input[:2].to(exact, copy=True)
        plain = copy.deepcopy(network).to(dtype)(sample.to(dtype))
        network = network.to(exact)
        expected = _exactly(network, sample)
        if not tensors_in(expected):
            raise InputError(
                f"the network returns {type(expected).__name__} without tensors; give one that returns tensors"
            )
        change = disagreement(_exactly(network, sample), expected, TOLERANCE)
        if change:
            raise InputError(f"run twice on the same images, the network's {change}; give a deterministic network")
        # twice the error of plain PyTorch in this dtype on this device
        tolerance = max(TOLERANCE, 2 * relative_error(plain, expected))

        def check_rewritten(changed: nn.Module) -> str:
            failure = disagreement(_exactly(changed, sample), expected, TOLERANCE)
            if not failure and dtype != exact:
                failure = disagreement(copy.deepcopy(changed).to(dtype)(sample.to(dtype)), expected, tolerance)
            return failure

        def check_runner(runner: nn.Module) -> str:
            return disagreement(_first(runner(example_input), len(sample)), expected, tolerance)

        network, rewrites = apply_rewrites(network, sample, check_rewritten)
        work = Work(network, example_input, dtype, compile)
        runner, measured = pick_fastest(work, PyTorch().ways(work, "exact"), check_runner, seconds)
    names = str(example_input.device), str(dtype).removeprefix("torch.")
    return runner, Report(tuple(rewrites), tuple(measured), runner.way, len(example_input), *names)


def _check(model: nn.Module, example: Tensor, dtype: torch.dtype | None) -> torch.dtype:
    """Check the arguments of `optimize` and return the dtype of the computation."""
    if not isinstance(example, Tensor) or not example.is_floating_point() or example.ndim != 4 or not len(example):
        description = (
            f"{tuple(example.shape)} {example.dtype}" if isinstance(example, Tensor) else type(example).__name__
        )
        raise InputError(f"example_input is {description}; give a floating-point batch of images (b, c, h, w)")
    if dtype is not None and not dtype.is_floating_point:
        raise InputError(
            f"dtype is {dtype}; give torch.float32, torch.bfloat16, torch.float16, or None for the model's"
        )
    weight = _first_weight(model, example)
    if weight.device != example.device:
        raise InputError(f"the network is on {weight.device} and example_input on {example.device}; move one of them")
    return weight.dtype if dtype is None else dtype


def _first_weight(model: nn.Module, example: Tensor) -> Tensor:
    """Return the first parameter that is floating point; the example of a network without."""
    return next((p for p in model.parameters() if p.is_floating_point()), example)


def _first(results: Any, count: int) -> list[Tensor]:
    return [tensor[:count] for tensor in tensors_in(results)]


def _exactly(network: nn.Module, images: Tensor) -> Any:
    """Run a network in full float32 on a GPU, where torch's convolutions use TF32 by default."""
    backends = [torch.backends.cuda.matmul, torch.backends.cudnn.conv]  # type: ignore[attr-defined]
    before = [backend.fp32_precision for backend in backends]
    try:
        for backend in backends:
            backend.fp32_precision = "ieee"
        return network(images)
    finally:
        for backend, precision in zip(backends, before, strict=True):
            backend.fp32_precision = precision
