"""`modernet predict`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json


@dataclass(frozen=True)
class Options:
    """Name what is on images, with probabilities.

    Examples:
      modernet predict runs/train-convnext_test-my_photos photo.jpg 'holiday/*.jpg'
      modernet predict --model mobilenet_v2 --weights mobilenet_v2-b0353104.pth photo.jpg
      modernet predict --model convnext_tiny.fb_in22k_ft_in1k photo.jpg
    """

    what: tyro.conf.Positional[tuple[str, ...]]
    """Images, folders of images, or patterns; without --model, the folder of a finished run comes first."""
    model: str | None = None
    """Network with published weights (fetched once; see modernet weights), or with those of --weights."""
    weights: Path | None = None
    """File of weights for --model: of its authors, timm, torchvision, transformers or OpenMMLab."""
    top: int = 5
    """How many classes to name for each."""
    skip_unreadable: bool = False
    """Leave out images that cannot be read, and say which."""
    json: bool = False
    """Print JSON: a list of objects with image and predictions (label, probability)."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "predict", arguments)

    from modernet import progress
    from modernet.data import find_images
    from modernet.errors import InputError
    from modernet.evaluation import predict
    from modernet.weights import load_model, load_network

    if options.model is None and options.weights is not None:
        raise InputError("--weights needs --model NAME, the network that they belong to")
    with progress.shown():
        if options.model is None:
            run, *images = options.what
            saved = load_network(Path(run))
        else:
            images = list(options.what)
            saved = load_model(options.model, options.weights)
        paths = find_images(images)
        predictions = predict(saved, paths, top=options.top, skip_unreadable=options.skip_unreadable)
    if options.json:
        print_json([asdict(prediction) for prediction in predictions])
        return
    for prediction in predictions:
        print(prediction.image)
        for guess in prediction.predictions:
            print(f"  {100 * guess.probability:5.1f} %  {guess.label}")
