"""`modernet evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json


@dataclass(frozen=True)
class Options:
    """Test a trained network on the images of a data set with the same classes.

    Example: modernet evaluate runs/train-convnext_test-digit_scenes --data digit_scenes
    """

    run: tyro.conf.Positional[Path]
    """Folder of a finished run."""
    data: str
    """Images: a folder (class/image, or train and test above it), shards, parquet, URL, hf:org/name, or a name."""
    split: Literal["train", "validation", "test"] = "test"
    """Which images of it."""
    batch_size: int = 128
    """Images at a time."""
    skip_unreadable: bool = False
    """Leave out images that cannot be read, and list them."""
    json: bool = False
    """Print JSON: an object with top1, top5, loss, n."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "evaluate", arguments)

    from modernet import progress
    from modernet.data import open_dataset
    from modernet.evaluation import evaluate_saved
    from modernet.training import choose_device
    from modernet.weights import load_network

    saved = load_network(options.run)
    with progress.shown():
        dataset = open_dataset(
            options.data,
            image_size=saved.image_size,
            skip_unreadable=options.skip_unreadable,
            whole_images=saved.crop < 1,
            interpolation=saved.interpolation,
        )
        accuracy = evaluate_saved(saved, dataset, options.split, batch_size=options.batch_size, device=choose_device())
    if options.json:
        print_json(asdict(accuracy))
        return
    print(
        f"{saved.spec.name} on {dataset.name}, {options.split}: top-1 {accuracy.top1:.2f} %, "
        f"top-5 {accuracy.top5:.2f} %, loss {accuracy.loss:.4f} (n = {accuracy.n})"
    )
