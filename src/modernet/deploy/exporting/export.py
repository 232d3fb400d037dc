"""Export a network to a file that runs without this library, and check the file against the network."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from modernet import progress
from modernet.deploy.agreement import disagreement
from modernet.deploy.exporting.formats import format_of
from modernet.deploy.exporting.outputs import TOLERANCE, DetectedObjects, Outputs, Results, Scores, as_results
from modernet.deploy.exporting.reduced import Reduction, check_typical
from modernet.deploy.exporting.tracing import TRACED, trace
from modernet.deploy.rewriting.apply import Rewrite, apply_rewrites
from modernet.deploy.running.casting import cast_copy
from modernet.detection.fixed_results import FixedResults
from modernet.detection.network import RCNN
from modernet.errors import InputError
from modernet.files.atomic import check_writable, whole_file
from modernet.preparation import ImageSize, as_size
from modernet.weights import SavedNetwork
from modernet.weights.saved_network import check_answers

_CHECKED = (1, 3)  # other batch sizes, to catch a program specialised to TRACED


class CheckSample(NamedTuple):
    """Images to run a file on, and the expected results."""

    images: Tensor
    results: Results


@dataclass(frozen=True)
class Exported:
    """The result of an export.

    Attributes:
        path: the file.
        images: shape of its input, `(b, c, h, w)`; b is None for any batch size.
        dtype: dtype of its input: `float32` for normalised images, `uint8` for decoded pixels.
        difference: largest difference of its scores from the network's, on random images; of a detector, the share of
            detections that differ; with 8-bit integers, the share of likeliest classes that differ.
        allowed: largest difference allowed.
        agreement: both in words.
        rewrites: rewrites applied before the export; empty without `optimized`.
    """

    path: Path
    images: tuple[int | None, int, int, int]
    dtype: str
    difference: float
    allowed: float
    agreement: str
    rewrites: tuple[Rewrite, ...]


class FromPixels(nn.Module):
    """A network that takes decoded uint8 images and normalises them itself."""

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
    image_size: ImageSize,
    path: str | os.PathLike[str],
    *,
    in_chans: int = 3,
    batch: int | None = None,
    optimized: bool = False,
    normalisation: tuple[Sequence[float], Sequence[float]] | None = None,
    metadata: Mapping[str, Any] | None = None,
    int8: Tensor | None = None,
) -> Exported:
    """Export a network with its weights, for the CPU, to a file that needs no code from this package.

    The file is read back (an ONNX model by onnxruntime) and compared with the network on random images. It appears
    under its name only if the scores agree within `TOLERANCE`, or the detections of a detector as `DetectedObjects`
    says. The network is left unchanged.

    With 8-bit integers, such a file in float32, optimized, is quantized. One in four of the images given, at most 128,
    calibrates; the others judge as for `optimize`: the likeliest class is the network's for 99 % of them.

    A detector (`RCNN`) goes whole, with non-maximum suppression, for one image of a fixed size. Its file returns boxes,
    scores, labels and masks of 100 objects, see `FixedResults`; those with a score above 0.05 are its detections. A
    .pt2 of it needs torchvision: import it before `torch.export.load`.

    Args:
        network: any module that maps images `(b, c, h, w)` to one tensor, from this library or not; or an `RCNN`.
        image_size: side of the images in pixels, or height and width.
        path: `.pt2` for a torch.export program, `.onnx` for an ONNX model, `.xml` for OpenVINO's, which has its weights
            in a `.bin` next to it; an existing file is replaced.
        in_chans: input channels.
        batch: fixed batch size; None for any batch size, and for the one image of a detector.
        optimized: first fold norms, layer scales and branches into adjacent layers, as `optimize` does.
        normalisation: per-channel mean and std for images in [0, 1]; the file then takes uint8 images and normalises
            them itself.
        metadata: further JSON-serialisable information for the user of the file, stored with the input's shape and
            dtype: under `modernet` in the metadata of an ONNX model and in rt_info of OpenVINO's, as `modernet.json` in
            the extra files of a `.pt2`.
        int8: compute with 8-bit integers: `(n, c, h, w)` typical images, as the file takes them. None for float32.

    Raises:
        InputError: unknown suffix, missing packages, images of another shape or dtype, a network that cannot be
            exported, or results that differ.

    >>> exported = export_network(network, 224, "network.onnx")  # doctest: +SKIP
    >>> session = onnxruntime.InferenceSession("network.onnx")  # doctest: +SKIP
    >>> scores = session.run(None, {"images": images})[0]  # doctest: +SKIP
    """
    target, kind = Path(path), format_of(Path(path))
    if batch is not None and batch < 1:
        raise InputError(f"batch is {batch}; give 1 or more, or None for any batch size")
    outputs: Outputs = Scores()
    if isinstance(network, RCNN):
        if batch not in (None, 1):
            raise InputError(f"batch is {batch}; a detector is exported for one image: give 1 (--batch 1)")
        if int8 is not None:
            raise InputError("a detector is exported in float32 only; leave out int8 (--precision int8)")
        batch, outputs = 1, DetectedObjects(network.config.masks)
        network = FixedResults(network)
    kind.check(network, int8=int8 is not None)
    shape = (in_chans, *as_size(image_size))
    dtype = "float32" if normalisation is None else "uint8"
    if int8 is not None:
        check_typical(int8, shape, dtype)
        int8 = int8 if dtype == "uint8" else int8.to(torch.float32)
    check_writable(target.parent)
    eager = cast_copy(network, torch.float32).eval().requires_grad_(False).to("cpu")
    eager = eager.to(memory_format=torch.contiguous_format)
    metadata = (
        dict(metadata or {})
        | outputs.about
        | {"modernet": version("modernet"), "images": [batch, *shape], "dtype": dtype}
    )
    with torch.inference_mode(False), torch.no_grad(), progress.bar("exporting", 4 if int8 is None else 6) as step:
        step.advance(0, note="running the network")
        generator = torch.Generator().manual_seed(0)
        exported = eager if normalisation is None else FromPixels(eager, *normalisation)
        example, *samples = [
            _check_sample(exported, outputs, (count, *shape), dtype, generator)
            for count in ((TRACED, *_CHECKED) if batch is None else (batch, batch))
        ]
        reduction = None if int8 is None else Reduction(eager, exported, int8, batch)
        rewrites: list[Rewrite] = []
        if optimized or int8 is not None:
            step.advance(0, note="rewriting")
            expected = outputs.continuous(exported, example.images)
            exported, rewrites = apply_rewrites(
                exported,
                example.images,
                lambda changed: disagreement(outputs.continuous(changed, example.images), expected, TOLERANCE),
            )
        step.advance(note="tracing")
        program = _program(exported, example.images, batch)
        step.advance(note="writing")
        with contextlib.ExitStack() as files:
            unfinished = files.enter_context(whole_file(target))
            for other in kind.companions(target):  # they get their names first
                files.enter_context(whole_file(other))
            kind.write(program, unfinished, metadata, outputs.names)
            step.advance(note="checking")
            run = kind.open(unfinished, outputs.names)
            found = outputs.compare([run(sample.images) for sample in samples], [sample.results for sample in samples])
            if not found.agrees:
                raise InputError(f"{target} was not written: {found.text}; export to another format")
            if reduction is not None:
                step.advance(note="calibrating")
                kind.quantize(unfinished, reduction.calibration, batch)
                step.advance(note="judging")
                found = reduction.judge(kind.open(unfinished, outputs.names))
                if not found.agrees:
                    raise InputError(f"{target} was not written: {found.text}; export it in float32")
        step.advance()
    return Exported(target, (batch, *shape), dtype, found.difference, found.allowed, found.text, tuple(rewrites))


def export_saved(
    saved: SavedNetwork,
    path: str | os.PathLike[str],
    *,
    image_size: ImageSize | None = None,
    batch: int | None = None,
    optimized: bool = False,
    with_normalisation: bool = False,
    int8: Tensor | None = None,
) -> Exported:
    """Export a trained network together with its classes and preprocessing.

    Args:
        saved: from `load_network` or `load_model`.
        image_size: side of the images in pixels, or height and width; None for that of its preparation.
        path, batch, optimized: as for `export_network`.
        with_normalisation: let the file take uint8 images and normalise them itself; its metadata then has no mean and
            std.
        int8: compute with 8-bit integers: typical images in uint8, `(n, c, h, w)`, cut and resized as the network's
            preparation says. None for float32.

    Raises:
        InputError: as for `export_network`, or the network was only pre-trained.

    >>> exported = export_saved(modernet.load_network("runs/my_run"), "network.onnx")  # doctest: +SKIP
    """
    check_answers(saved.task)
    preparation = saved.preparation if image_size is None else saved.preparation.with_size(image_size)
    if int8 is not None:
        check_typical(int8, (len(preparation.mean), *as_size(preparation.image_size)), "uint8")
    metadata: dict[str, Any] = {
        "task": saved.task,
        "network": saved.spec.name,
        "classes": saved.classes,
        "image_size": preparation.image_size,
        "interpolation": preparation.interpolation,
    }
    if isinstance(saved.network, RCNN):
        colour = [round(255 * mean) for mean in preparation.mean] if with_normalisation else [0] * len(preparation.mean)
        metadata |= {"resize": "fit into image_size, in proportion, at the top left", "pad": colour}
    else:
        metadata["crop"] = preparation.crop
    if not with_normalisation:
        metadata |= {"mean": preparation.mean, "std": preparation.std}
    return export_network(
        saved.network,
        preparation.image_size,
        path,
        in_chans=len(preparation.mean),
        batch=batch,
        optimized=optimized,
        normalisation=(preparation.mean, preparation.std) if with_normalisation else None,
        metadata=metadata,
        int8=int8 if int8 is None or with_normalisation else preparation.normalise(int8).contiguous(),
    )


def _check_sample(
    network: nn.Module, outputs: Outputs, shape: tuple[int, ...], dtype: str, generator: torch.Generator
) -> CheckSample:
    """Return random images and the network's results for them."""
    if dtype == "uint8":
        images = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    else:
        images = torch.randn(shape, generator=generator)
    returned = network(images)
    results = as_results(returned)
    if len(results) != len(outputs.names) or not all(isinstance(tensor, Tensor) for tensor in results):
        raise InputError(f"the network returns a {type(returned).__name__}; export one that returns one tensor")
    if not all(tensor.isfinite().all() for tensor in results):
        raise InputError("the network returns non-finite scores; export one with finite weights")
    return CheckSample(images, results)


def _program(network: nn.Module, images: Tensor, batch: int | None) -> ExportedProgram:
    try:
        return trace(network, images, any_batch=batch is None)
    except InputError as error:
        raise InputError(f"{error}; try batch=1 (--batch 1)" if batch is None else str(error)) from error
