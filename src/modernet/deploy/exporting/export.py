"""A network as a file that runs without this library: torch.export's program or an ONNX model, checked against it."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from modernet import progress
from modernet.deploy.agreement import disagreement
from modernet.deploy.exporting.formats import Run, format_of
from modernet.deploy.rewriting.apply import Rewrite, apply_rewrites
from modernet.errors import InputError, one_line
from modernet.files.atomic import check_writable, whole_file
from modernet.weights import SavedNetwork

TOLERANCE = 1e-4
"""How far a file's scores may be from the network's, relative to the largest one.

Another runtime adds numbers in another order. In float32 that moved the scores of ConvNeXt-T, Swin-T, ResNet-50,
MobileNetV2 and DeiT-S by 0.6 to 1.4 millionths of the largest; what is left is room for deeper networks and for trained
weights. An operation that is translated wrongly moves them by per cents.
"""
_TRACED = 2  # images: with one, a program would be for one alone
_TRIED = (1, 3)  # so a number that it was traced with shows


class Case(NamedTuple):
    """Images that a file is tried with, and the scores that it must give."""

    images: Tensor
    scores: Tensor


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        images: what it takes, `(b, c, h, w)`; b is None for any number.
        dtype: of the images: `float32`, normalised; or `uint8`, as they are decoded.
        difference: the largest difference between its scores and the network's, on random images.
        allowed: how large that might have been.
        rewrites: what was rewritten first; empty unless that was asked for.
    """

    path: Path
    images: tuple[int | None, int, int, int]
    dtype: str
    difference: float
    allowed: float
    rewrites: tuple[Rewrite, ...]


class FromPixels(nn.Module):
    """A network that takes images as they are decoded, uint8, and normalises them itself."""

    mean: Tensor
    std: Tensor

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.tensor(mean)[:, None, None])
        self.register_buffer("std", torch.tensor(std)[:, None, None])

    def forward(self, images_u8: Tensor) -> Any:
        return self.network((images_u8 / 255 - self.mean) / self.std)


def export_network(
    network: nn.Module,
    image_size: int,
    path: str | os.PathLike[str],
    *,
    in_chans: int = 3,
    batch: int | None = None,
    optimized: bool = False,
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Exported:
    """Write a network to a file that needs no code of ours: what it computes, with its weights, in float32 on a CPU.

    The file is read back, an ONNX model by onnxruntime, and compared with the network on random images. It takes its
    name only if their scores agree within `TOLERANCE`. The network is left as it is.

    Args:
        network: any module that maps images `(b, c, h, w)` to one tensor, of this library or not.
        image_size: side in pixels of the square images that it will get.
        path: `.pt2` for torch.export's program, `.onnx` for an ONNX model; a file that is there is replaced.
        in_chans: channels of the images.
        batch: how many images it will get at once; None is any number.
        optimized: first fold norms, scales and branches into the layers beside them, as `optimize` does.
        normalisation: mean and std of each channel, for images in [0, 1], to compute in the file, which then takes
            uint8 images.
        facts: what else its user must know, JSON-able. It lies under `modernet` in an ONNX model's metadata, and as
            `modernet.json` among the extra files of a `.pt2`, together with the size and type of the images.

    Raises:
        InputError: the suffix is neither, packages for ONNX are not installed, the network cannot be exported so, or
            the file gives other scores.

    >>> exported = export_network(network, 224, "network.onnx")  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("network.onnx")  # doctest: +SKIP
    >>> scores = session.run(None, {"images": images})[0]  # doctest: +SKIP
    """
    target, kind = Path(path), format_of(Path(path))
    if batch is not None and batch < 1:
        raise InputError(f"batch is {batch}; give 1 or more, or None for any number of images")
    kind.check(network)
    check_writable(target.parent)
    eager = copy.deepcopy(network).eval().requires_grad_(False).to("cpu", torch.float32)
    eager = eager.to(memory_format=torch.contiguous_format)
    shape = (in_chans, image_size, image_size)
    dtype = "float32" if normalisation is None else "uint8"
    facts = dict(facts or {}) | {"modernet": version("modernet"), "images": [batch, *shape], "dtype": dtype}
    with torch.inference_mode(False), torch.no_grad(), progress.task("exporting", 4) as step:
        step.advance(0, note="running the network")
        generator = torch.Generator().manual_seed(0)
        whole = eager if normalisation is None else FromPixels(eager, *normalisation)
        example, *cases = [
            _case(whole, (count, *shape), dtype, generator)
            for count in ((_TRACED, *_TRIED) if batch is None else (batch, batch))
        ]
        rewrites: list[Rewrite] = []
        if optimized:
            step.advance(0, note="rewriting")
            whole, rewrites = apply_rewrites(
                whole,
                example.images,
                lambda changed: disagreement(changed(example.images), example.scores, TOLERANCE),
            )
        step.advance(note="tracing")
        program = _traced(whole, example.images, batch)
        step.advance(note="writing")
        with whole_file(target) as unfinished:
            kind.write(program, unfinished, facts)
            step.advance(note="checking")
            difference, allowed = _compare(kind.open(unfinished), cases, target)
        step.advance()
    return Exported(target, (batch, *shape), dtype, difference, allowed, tuple(rewrites))


def export_saved(
    saved: SavedNetwork,
    path: str | os.PathLike[str],
    *,
    batch: int | None = None,
    optimized: bool = False,
    with_normalisation: bool = False,
) -> Exported:
    """Write a trained network to a file together with its classes and what images must look like for it.

    Args:
        saved: from `load_network` or `load_model`.
        path, batch, optimized: as for `export_network`.
        with_normalisation: let the file take uint8 images and normalise them itself; then it names no mean and std.

    Raises:
        InputError: as for `export_network`.

    >>> exported = export_saved(modernet.load_network("runs/my_run"), "network.onnx")  # doctest: +SKIP
    """
    facts: dict[str, Any] = {
        "network": saved.spec.name,
        "classes": saved.classes,
        "image_size": saved.image_size,
        "crop": saved.crop,
        "interpolation": saved.interpolation,
    }
    if not with_normalisation:
        facts |= {"mean": saved.mean, "std": saved.std}
    return export_network(
        saved.network,
        saved.image_size,
        path,
        in_chans=len(saved.mean),
        batch=batch,
        optimized=optimized,
        normalisation=(saved.mean, saved.std) if with_normalisation else None,
        facts=facts,
    )


def _case(network: nn.Module, shape: tuple[int, ...], dtype: str, generator: torch.Generator) -> Case:
    """Random images, and what the network says of them."""
    if dtype == "uint8":
        images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    else:
        images = torch.randn(shape, generator=generator)
    scores = network(images)
    if not isinstance(scores, Tensor):
        raise InputError(f"the network gives a {type(scores).__name__}; export one that gives one tensor")
    if not scores.isfinite().all():
        raise InputError("the network gives scores that are no numbers; export one whose weights are finite")
    return Case(images, scores)


def _traced(network: nn.Module, images: Tensor, batch: int | None) -> ExportedProgram:
    """The network's operations in a graph, for as many images or for any number."""
    shapes = ({0: Dim("batch")},) if batch is None else None
    try:
        return torch.export.export(network, (images,), dynamic_shapes=shapes, strict=False)
    except Exception as error:  # whatever the code of a network that is not ours does under the tracer
        number, advice = (" for any number of images", "; try batch=1 (--batch 1)") if batch is None else ("", "")
        raise InputError(
            f"the network cannot be exported{number}: {one_line(error, with_type=True)}{advice}"
        ) from error


def _compare(run: Run, cases: Sequence[Case], target: Path) -> tuple[float, float]:
    """The largest difference between a file's scores and the network's, and the largest that is allowed."""
    largest = max(float(case.scores.abs().max()) for case in cases)
    difference = max(float((run(case.images) - case.scores).abs().nan_to_num(torch.inf).max()) for case in cases)
    if difference > TOLERANCE * largest:
        raise InputError(
            f"{target} was not written: its scores differ from the network's by {difference:.1e}, and "
            f"{TOLERANCE * largest:.1e} is allowed, {TOLERANCE:g} of the largest; export to the other format"
        )
    return difference, TOLERANCE * largest
