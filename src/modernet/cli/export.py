"""`modernet export`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import tyro

from modernet.cli.options import parse


@dataclass(frozen=True, kw_only=True)
class Options:
    """Write a trained network to a file that needs no modernet: torch.export's program, or an ONNX model.

    Examples:
      modernet export runs/train-convnext_test-my_photos --to onnx
      modernet export --model convnext_tiny.fb_in22k_ft_in1k --to torch --out tiny.pt2

    The file is run and compared with the network before it takes its name. Its classes, and what pictures must look
    like, are inside, as JSON. It takes normalised RGB pictures, (b, 3, size, size):

      session = onnxruntime.InferenceSession("network.onnx")
      facts = json.loads(session.get_modelmeta().custom_metadata_map["modernet"])
      scores = session.run(None, {"images": images})[0]

      inside = {"modernet.json": ""}
      network = torch.export.load("network.pt2", extra_files=inside).module()
      facts, scores = json.loads(inside["modernet.json"]), network(pictures)
    """

    run: tyro.conf.Positional[Path | None] = None
    """Folder of a finished run; leave it out with --model."""
    to: Literal["torch", "onnx"]
    """Kind of file. ONNX needs: pip install 'modernet[export]'."""
    out: Path | None = None
    """File to write, .pt2 or .onnx; by default network.* in the run's folder, or named after --model."""
    model: str | None = None
    """Network with published weights (fetched once; see modernet weights), or with those of --weights."""
    weights: Path | None = None
    """File of weights for --model: of its authors, timm, torchvision, transformers or OpenMMLab."""
    batch: str = "any"
    """How many pictures the file takes at once: a number, or any."""
    optimized: bool = False
    """First fold norms, scales and branches into the layers beside them: exact, and fewer operations."""
    with_normalisation: bool = False
    """Let the file take uint8 pictures and normalise them itself."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "export", arguments)

    from modernet import progress
    from modernet.errors import InputError

    if (options.run is None) == (options.model is None):
        raise InputError("give either the folder of a finished run or --model NAME")
    if options.model is None and options.weights is not None:
        raise InputError("--weights needs --model NAME, the network that they belong to")
    if options.batch != "any" and not options.batch.isdecimal():
        raise InputError(f"--batch is {options.batch!r}; give any, or how many pictures the file takes at once")

    with progress.shown():
        from modernet.deploy import export_saved
        from modernet.deploy.exporting.formats import FORMATS
        from modernet.tasks import load_network
        from modernet.weights import load_model

        suffix = FORMATS[options.to].suffix
        if options.out is not None and options.out.suffix != suffix:
            raise InputError(f"--out is {options.out}; with --to {options.to} give a name that ends with {suffix}")
        if options.run is not None:
            saved, out = load_network(options.run), options.run / f"network{suffix}"
        else:
            saved, out = load_model(str(options.model), options.weights), Path(f"{options.model}{suffix}")
        done = export_saved(
            saved,
            options.out or out,
            batch=None if options.batch == "any" else int(options.batch),
            optimized=options.optimized,
            with_normalisation=options.with_normalisation,
        )
    for rewrite in done.rewrites:
        if rewrite.count or rewrite.failure:
            print(f"{rewrite.count:>4}  {rewrite.name}{rewrite.failure and f' (not kept: {rewrite.failure})'}")
    number, *shape = done.images
    print(
        f"{done.path}: {saved.spec.name} for {done.dtype} pictures {number or 'any'} x {' x '.join(map(str, shape))}; "
        f"scores differ from the network's by {done.difference:.1e} at most ({done.allowed:.1e} is allowed)"
    )
