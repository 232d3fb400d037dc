"""`modernet optimize`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from modernet.cli.networks import check_named
from modernet.cli.options import parse, read_size
from modernet.cli.output import print_json
from modernet.files.atomic import check_free


@dataclass(frozen=True, kw_only=True)
class Options:
    """Find the fastest way to run a classifier on this processor, judged on your images, and keep it in a folder.

    Examples:
      modernet optimize runs/train-resnet18-my_photos --data my_photos --out fast
      modernet optimize convnext_tiny.fb_in1k --data imagenet/val --precision int8 --out fast
      modernet predict fast holiday/*.jpg                       loads it: nothing is chosen or compiled again
      modernet evaluate fast --data my_photos
      modernet benchmark ./fast optimized:./fast                the network as it was, and as it is kept

    Some of the images calibrate 8-bit integers, the others judge ways in reduced precision: one that loses more than
    0.5 points of their accuracy is not chosen; nor, if the network does not know their classes, one that changes more
    than 1 % of its answers. They are not those that a run was trained or tested on, but those of its validation. With
    fewer than 64 images, only exact ways are tried.
    """

    network: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="MODEL|RUN")]
    """Network with published weights (downloaded once; see modernet weights) or with those of --weights; or the folder
    of a finished run, with a slash."""
    data: str
    """Typical images, at best of the network's classes: a folder (class/image, or val above it), shards, parquet, URL,
    hf:org/name, or a name. Validation images are used; of one set without splits all, or if the network learned from
    some, those held out."""
    out: Path
    """Folder to write, new or empty."""
    precision: Literal["exact", "bf16", "int8", "auto"] = "auto"
    """exact: results change by rounding only. bf16, int8: also with less precise numbers, where they lose no
    accuracy. auto: whichever of these is fastest."""
    weights: Path | None = None
    """Weights for MODEL: a file or folder of its authors, timm, torchvision, transformers or OpenMMLab."""
    batch_size: int = 8
    """Images per batch, which the speed is measured for; the result takes any number."""
    image_size: str | None = None
    """Pixels of a side, or HEIGHTxWIDTH; by default what the network was trained or published for."""
    images: int = 256
    """Most images to calibrate and judge by."""
    seconds: float = 60.0
    """Time for the search; what was compiled last may take longer."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""
    json: bool = False
    """Print the report as JSON: the rewrites, and the speed, precision and losses of each way to run the network."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "optimize", arguments)
    image_size = None if options.image_size is None else read_size(options.image_size)
    check_free(options.out)
    check_named(options.network, options.weights)

    from modernet import progress
    from modernet.data import check_source

    with progress.shown():
        check_source(options.data)

        from modernet.tasks import NamedNetwork, OptimizeRequest, optimize_named

        request = OptimizeRequest(
            data=options.data,
            precision=options.precision,
            batch_size=options.batch_size,
            image_size=image_size,
            images=options.images,
            seconds=options.seconds,
            skip_unreadable=options.skip_unreadable,
        )
        network = NamedNetwork.load(options.network, options.weights, original=True)
        fast = optimize_named(network, request, options.out)
    report = fast.report
    assert not isinstance(report, str), "it was not loaded from a folder"
    if options.json:
        print_json({"network": network.saved.spec.name, "out": str(options.out), **report.as_json()})
        return
    print(report)
    print(f"{options.out}: {network.saved.spec.name}, {fast.runner.way}")
