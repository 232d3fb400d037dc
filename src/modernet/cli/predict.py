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
    """Name what is on pictures, with probabilities.

    Example: modernet predict runs/train-convnext_test-my_photos photo.jpg 'holiday/*.jpg'
    """

    run: tyro.conf.Positional[Path]
    """Folder of a finished run."""
    pictures: tyro.conf.Positional[tuple[str, ...]]
    """Pictures, folders of pictures, or patterns."""
    top: int = 5
    """How many classes to name for each."""
    skip_unreadable: bool = False
    """Leave out pictures that cannot be read, and say which."""
    json: bool = False
    """Print JSON: a list of objects with picture and predictions (label, probability)."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "predict", arguments)

    from modernet import progress
    from modernet.data import find_pictures
    from modernet.evaluation import predict
    from modernet.weights import load_network

    saved = load_network(options.run)
    paths = find_pictures(options.pictures)
    with progress.shown():
        predictions = predict(saved, paths, top=options.top, skip_unreadable=options.skip_unreadable)
    if options.json:
        print_json([asdict(prediction) for prediction in predictions])
        return
    for prediction in predictions:
        print(prediction.picture)
        for guess in prediction.predictions:
            print(f"  {100 * guess.probability:5.1f} %  {guess.label}")
