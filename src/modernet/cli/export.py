"""`modernet export`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from modernet.cli.networks import check_network, open_network
from modernet.cli.options import parse, read_size
from modernet.errors import InputError


@dataclass(frozen=True, kw_only=True)
class Options:
    """Export a trained network to a file that needs no modernet: a torch.export program, or an ONNX or OpenVINO model.

    Examples:
      modernet export runs/train-convnext_test-my_photos --to onnx
      modernet export --model convnext_tiny.fb_in22k_ft_in1k --to torch --out tiny.pt2
      modernet export runs/train-resnet18-my_photos --to openvino
      modernet export runs/train-resnet18-my_photos --to onnx --precision int8 --data my_photos

    The file is run and compared with the network before it takes its name. It contains its classes and how images must
    be prepared, as JSON. Its input is normalised RGB images, float32 (b, 3, size, size), and its output class scores:

      session = onnxruntime.InferenceSession("network.onnx")
      about = json.loads(session.get_modelmeta().custom_metadata_map["modernet"])
      scores = session.run(None, {"images": images})[0]

      inside = {"modernet.json": ""}
      network = torch.export.load("network.pt2", extra_files=inside).module()
      about, scores = json.loads(inside["modernet.json"]), network(images)

      model = openvino.Core().read_model("network.xml")  # network.bin has to be in the same folder
      about = json.loads(model.get_rt_info("modernet").astype(str))
      network = openvino.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})  # else maybe bfloat16
      scores = network({"images": images})["scores"]

    With --precision int8, some images of --data calibrate, and the file is written if for 99 % of the others its answer
    is the network's. Its weights have 7 bits, so that processors without VNNI compute the same.

    A segmenter gives scores (b, classes, size, size). A detector takes one image, scaled to fit and padded at the right
    and the bottom, and gives boxes (100, 4), scores, labels and masks (100, 28, 28), best first, non-maximum
    suppression included; drop those with a score of 0.05 or less. Its .pt2 needs torchvision: import it before loading.
    """

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """Folder of a finished run; without --model."""
    to: Literal["torch", "onnx", "openvino"]
    """Format. ONNX needs: pip install 'modernet[export]', OpenVINO: 'modernet[runtimes]'."""
    out: Path | None = None
    """File to write, .pt2, .onnx or .xml; by default network.* in the run's folder, or named after --model."""
    model: str | None = None
    """Network with published weights (downloaded once; see modernet weights), or with those of --weights."""
    weights: Path | None = None
    """Weights for --model: a file or folder of its authors, timm, torchvision, transformers or OpenMMLab."""
    image_size: str | None = None
    """Pixels of a side, or HEIGHTxWIDTH; by default what the network was trained or published for."""
    precision: Literal["float32", "int8"] = "float32"
    """int8: 8-bit integers, for classifiers and segmenters, to onnx or openvino; needs --data, implies --optimized."""
    data: str | None = None
    """Images for --precision int8, some hundreds: a folder, shards, parquet, URL, hf:org/name, or a name. Validation
    images are used; of one set without splits all, or if the network learned from some, those held out."""
    batch: str = "any"
    """Batch size of the file: a number, or any; a detector's is 1."""
    optimized: bool = False
    """First fold norms, scales and branches into neighbouring layers: exact, with fewer operations."""
    with_normalisation: bool = False
    """Let the file take uint8 images and normalise them."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "export", arguments)

    if options.batch != "any" and not options.batch.isdecimal():
        raise InputError(f"--batch is {options.batch!r}; give any, or a number of images")
    image_size = None if options.image_size is None else read_size(options.image_size)
    if (options.data is None) != (options.precision == "float32"):
        raise InputError("--precision int8 and --data, typical images to calibrate by, need each other; give both")
    check_network(options.run, options.model, options.weights)

    from modernet import progress

    with progress.shown():
        from modernet.deploy import export_saved
        from modernet.deploy.exporting.formats import FORMATS
        from modernet.tasks.typical_images import typical_images

        suffix = FORMATS[options.to].suffix
        if options.out is not None and options.out.suffix != suffix:
            raise InputError(f"--out is {options.out}; with --to {options.to} give a name ending in {suffix}")
        network = open_network(options.run, options.model, options.weights)
        saved, images = network.saved, None
        if options.data is not None:
            preparation = saved.preparation if image_size is None else saved.preparation.with_size(image_size)
            images = typical_images(network, options.data, preparation)
        out = Path(f"{options.model}{suffix}") if options.run is None else options.run / f"network{suffix}"
        done = export_saved(
            saved,
            options.out or out,
            image_size=image_size,
            batch=None if options.batch == "any" else int(options.batch),
            optimized=options.optimized,
            with_normalisation=options.with_normalisation,
            int8=images,
        )
    for rewrite in done.rewrites:
        if rewrite.count or rewrite.failure:
            print(f"{rewrite.count:>4}  {rewrite.name}{rewrite.failure and f' (undone: {rewrite.failure})'}")
    number, *shape = done.images
    print(
        f"{done.path}: {saved.spec.name} for {done.dtype} images {number or 'any'} x {' x '.join(map(str, shape))}; "
        f"{done.agreement}"
    )
