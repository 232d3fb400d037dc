"""`modernet.optimize`: the same network, as fast as this device can run it in inference."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from modernet.deploy.agreement import TOLERANCE, disagreement, relative_error
from modernet.deploy.rewriting.apply import apply_rewrites
from modernet.deploy.running.casting import cast_copy
from modernet.deploy.running.choosing import choose, ways_of
from modernet.deploy.running.detector import OptimizedDetector, optimize_detector
from modernet.deploy.running.division import check_labels, divide
from modernet.deploy.running.fidelity import AGREEMENT, Answers, HeldOut, answers_of
from modernet.deploy.running.network import Asked, OptimizedNetwork
from modernet.deploy.running.racing import Clock
from modernet.deploy.running.report import Report
from modernet.deploy.running.runtimes import RUNTIMES
from modernet.deploy.running.sensitivity import rank_layers
from modernet.deploy.running.torch_ways import PyTorch
from modernet.deploy.running.way import Precision, Runner, Runtime, Work
from modernet.detection.network import RCNN
from modernet.errors import InputError, unknown_name
from modernet.torch_internals import tensors_in
from modernet.weights import network_fingerprint

Allowed = Precision | Literal["auto"]
"""The precision that may be used besides the exact one; "auto" allows all."""

_PRECISIONS: dict[str, tuple[Precision, ...]] = {
    "exact": ("exact",),
    "bf16": ("exact", "bf16"),
    "int8": ("exact", "int8"),
    "auto": ("exact", "bf16", "int8"),
}
"""In the order in which a runtime's ways are prepared: exact ones first, as the fastest of them judges the others."""
_BATCH = 8
_CHECKED = 8  # images of the example on which exact ways are checked, evenly spaced
_OF_DETECTOR = 0.75  # share of the time that is for everything before the proposals


def optimize(
    model: nn.Module,
    images: Tensor,
    *,
    precision: Allowed = "exact",
    labels: Tensor | None = None,
    dtype: torch.dtype | None = None,
    compile: bool = True,
    seconds: float = 60.0,
    agreement: float = AGREEMENT,
    batch: int | None = None,
) -> OptimizedNetwork | OptimizedDetector:
    """Return a faster network for inference with the same results, or nearly. `model` is left unchanged.

    First, exact rewrites on a copy in evaluation mode: fold BatchNorms into adjacent layers, LayerNorm affines into the
    layers after them and layer scales into the layer before them, and merge parallel branches. Then several ways to run
    the network are timed on the example, interleaved, and the fastest is kept: memory format, `torch.compile` with
    frozen weights, other runtimes that are installed and, on a GPU, CUDA graphs and this library's fused kernels.
    `report` lists what was done:

    >>> network = optimize(model, torch.randn(8, 3, 224, 224))  # doctest: +SKIP
    >>> network = optimize(model, photos, precision="auto", labels=labels)  # doctest: +SKIP
    >>> print(network.report)  # doctest: +SKIP

    With reduced precision, ways in bfloat16 or with 8-bit integers take part too. The fastest is kept if its answers
    are those of the exact network: the likeliest class of at least 99 % of held-out images, or, with labels, of 90 %
    and all but 0.5 points of its accuracy. Networks that return no scores of classes are judged by their relative error
    (`modernet.deploy.running.fidelity` has the rule). Otherwise it is refused, and the next one judged; but of an int8
    way, the layers that cost most are first kept in floating point, as many as it takes. Give real images: every fourth
    (at most 128, evenly spaced) gives the ranges of 8-bit integers, and the others are held out.

    Rewrites are derived from one forward pass of the example and hold for its execution path. A network that pads,
    shifts or resamples depending on image size could need others, so the image size is fixed; the batch size is not.
    Rewrites and ways to run whose results differ from the original's are discarded and listed in the report.

    Of a detector (`RCNN`), everything before the proposals is optimized as one network, and the heads eagerly and
    exactly, as the number of their boxes varies. The size is fixed up to its padding to 32.

    The weights become constants; continue training with `model`.

    Args:
        model: any module that maps images to tensors, from this library or not; or an `RCNN`.
        images: `(n, c, h, w)`, typical images on the network's device, in the form that it is trained on. Reduced
            precision needs 64, or 8 where it is judged by relative error.
        precision: "exact" is equal to rounding; "bf16" and "int8" allow one more precision, "auto" all of them. Exact
            ways take part in any case, and win where they are faster.
        labels: `(n,)`, the classes of the images, by which reduced precision is then judged.
        dtype: dtype of exact ways, and of all results; None for the network's. Weights are folded in float32 and cast
            afterwards.
        compile: try `torch.compile`, which takes seconds to minutes. If it fails, for example without a C++ compiler,
            the network runs uncompiled and the report says why.
        seconds: for everything. What has begun is finished, so that it may take one preparation longer, and the
            judgements that are needed; the report lists what there was no time for.
        agreement: share of held-out images that have to keep their likeliest class; between 0 and 1.
        batch: how many of the images are timed in one batch. None for all if the precision is "exact", else up to 8.

    Returns:
        A module that takes `(b, c, h, w)` in any dtype and returns the results of `model`, in `dtype` and without
        gradients.

    Raises:
        InputError: the images are not a batch of images or not on the network's device, or too few; the labels are
            right by chance only; the dtype is not floating point; an option is out of its range; or the network returns
            no tensors or is not deterministic.
    """
    dtype = _check(model, images, dtype, precision, agreement, seconds)
    if batch is None:
        batch = len(images) if precision == "exact" else min(_BATCH, len(images))
    elif not 1 <= batch <= len(images):
        raise InputError(f"batch is {batch} and there are {len(images)} images; give 1 to {len(images)}")
    request = _Request(RUNTIMES, precision, dtype, compile, agreement, batch)
    if not isinstance(model, RCNN):
        fingerprint = network_fingerprint(model)
        runner, report = request.optimize(model, images, labels, seconds)
        _, c, h, w = images.shape
        return OptimizedNetwork(runner, (c, h, w), report, fingerprint, Asked(precision, agreement, seconds, compile))
    if labels is not None:
        raise InputError("labels are for networks that return scores of classes; a detector is judged without")
    heads_s = (1 - _OF_DETECTOR) * seconds / (2 * len(model.config.stages))

    def whole(network: nn.Module, example: Tensor) -> tuple[Runner, Report]:
        return request.optimize(network, example, None, _OF_DETECTOR * seconds)

    def eager(network: nn.Module, example: Tensor) -> tuple[Runner, Report]:
        exact = replace(request, runtimes=(PyTorch(),), precision="exact", compile=False, batch=len(example))
        return exact.optimize(network, example, None, heads_s)

    with torch.inference_mode(False), torch.no_grad():
        return optimize_detector(model, images, batch, whole, eager)


@dataclass(frozen=True)
class _Request:
    """How a network, or a part of one, is optimized; fields as the arguments of `optimize`."""

    runtimes: Sequence[Runtime]
    precision: Allowed
    dtype: torch.dtype
    compile: bool
    agreement: float
    batch: int

    def optimize(
        self, model: nn.Module, images: Tensor, labels: Tensor | None, seconds: float
    ) -> tuple[Runner, Report]:
        clock = Clock(seconds)
        with torch.inference_mode(False), torch.no_grad():
            dtype, exact = self.dtype, torch.promote_types(self.dtype, torch.float32)
            network = copy.deepcopy(model).eval().requires_grad_(False)
            example = images[: self.batch]
            sample = example[:2].to(exact, copy=True)
            plain = cast_copy(network, dtype)(sample.to(dtype))
            network = cast_copy(network, exact)
            expected = _exactly(network, sample)
            if not tensors_in(expected):
                raise InputError(
                    f"the network returns {type(expected).__name__} without tensors; give one that returns tensors"
                )
            change = disagreement(_exactly(network, sample), expected, TOLERANCE)
            if change:
                raise InputError(f"run twice on the same images, the network's {change}; give a deterministic network")
            calibration, held_out = self._divided(images, labels, answers_of(model, expected), expected)
            # twice the error of plain PyTorch in this dtype on this device
            tolerance = max(TOLERANCE, 2 * relative_error(plain, expected))

            def check_rewritten(changed: nn.Module) -> str:
                failure = disagreement(_exactly(changed, sample), expected, TOLERANCE)
                if not failure and dtype != exact:
                    failure = disagreement(cast_copy(changed, dtype)(sample.to(dtype)), expected, tolerance)
                return failure

            network, rewrites = apply_rewrites(network, sample, check_rewritten)
            checked = torch.linspace(0, len(example) - 1, min(_CHECKED, len(example))).long().to(example.device)
            right = tensors_in(_exactly(network, example[checked].to(exact)))

            def check_runner(runner: Runner) -> str:
                found = [tensor[checked] for tensor in tensors_in(runner(example))]
                if runner.way.precision != "exact":
                    # it only has to return the same tensors here; those held out judge their numbers
                    return disagreement(found, right, float("inf"))
                failure = disagreement(found, right, tolerance)
                if not failure and not getattr(runner.way, "compiled", False):  # which would compile for one image too
                    failure = disagreement(runner(example[:1]), [tensor[:1] for tensor in right], tolerance)
                    return failure and f"of one image, {failure}"
                return failure

            work = Work(network, example, dtype, self.compile, calibration)
            missing = [runtime.missing() for runtime in self.runtimes]
            ways = ways_of(self.runtimes, work, _PRECISIONS[self.precision])
            runner, measured = choose(work, ways, check_runner, held_out, clock, rank_layers)
        absent = {*_PRECISIONS[self.precision]} - {way.precision for way in ways}
        missing += [f"no way in {precision} on this device" for precision in sorted(absent)]
        names = str(images.device), str(dtype).removeprefix("torch.")
        report = Report(tuple(rewrites), tuple(measured), runner.way, self.batch, *names)
        return runner, replace(report, missing=tuple(line for line in missing if line))

    def _divided(
        self, images: Tensor, labels: Tensor | None, answers: Answers, results: Any
    ) -> tuple[Tensor | None, HeldOut | None]:
        """Return the images that calibrate, if any have to, and those that judge."""
        if self.precision == "exact":
            return None, None
        if labels is not None:
            check_labels(labels, len(images), results, answers)
        calibration, judging, judging_labels = divide(images, labels, answers)
        held_out = HeldOut(judging, judging_labels, answers, self.agreement, self.batch)
        return calibration if "int8" in _PRECISIONS[self.precision] else None, held_out


def _check(
    model: nn.Module, images: Tensor, dtype: torch.dtype | None, precision: str, agreement: float, seconds: float
) -> torch.dtype:
    """Check the arguments of `optimize` and return the dtype of the results."""
    if not isinstance(images, Tensor) or not images.is_floating_point() or images.ndim != 4 or not len(images):
        description = f"{tuple(images.shape)} {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        raise InputError(f"images are {description}; give a floating-point batch of images (b, c, h, w)")
    if dtype is not None and not dtype.is_floating_point:
        raise InputError(
            f"dtype is {dtype}; give torch.float32, torch.bfloat16, torch.float16, or None for the model's"
        )
    if precision not in _PRECISIONS:
        raise unknown_name("precision", precision, _PRECISIONS)
    if not 0 < agreement <= 1:
        raise InputError(f"agreement is {agreement:g}; give a share of images above 0, at most 1")
    if not seconds >= 0:
        raise InputError(f"seconds is {seconds:g}; give 0 or more")
    weight = _first_weight(model, images)
    if weight.device != images.device:
        raise InputError(f"the network is on {weight.device} and the images on {images.device}; move one of them")
    return weight.dtype if dtype is None else dtype


def _first_weight(model: nn.Module, images: Tensor) -> Tensor:
    """Return the first parameter that is floating point; the images for a network without."""
    return next((p for p in model.parameters() if p.is_floating_point()), images)


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
