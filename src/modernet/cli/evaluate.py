"""`modernet evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, results


@dataclass(frozen=True)
class Options:
    """Evaluate a trained network on a data set; its classes are matched by name, and some may be missing.

    Examples:
      modernet evaluate runs/train-convnext_test-my_photos --data my_photos      what training left out
      modernet evaluate runs/train-convnext_test-my_photos --data new_photos     new_photos/CLASS/*.jpg, all of them
    """

    run: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="RUN")]
    """Folder of a finished run."""
    data: str
    """Images: a folder (class/image, or test or val above it), shards, parquet, URL, hf:org/name, or a name. Of one set
    without splits, all are evaluated; or, if the network learned from some, those that it did not."""
    split: Literal["train", "validation", "test"] = "test"
    """Split to evaluate on."""
    batch_size: int = 128
    """Images per batch; a detector takes at most 8."""
    window: int = 0
    """Segmentation: side in pixels of square windows to see one by one; 0 sees each image at once."""
    stride: int = 0
    """Segmentation: pixels from one window to the next; by default two thirds of the window."""
    scales: tuple[float, ...] = (1.0,)
    """Segmentation: factors on the size of the images, whose predictions are averaged: 0.5 0.75 1 1.25 1.5 1.75."""
    flip: bool = False
    """Segmentation: average mirrored images as well."""
    save_json: Path | None = None
    """Detection: folder for what was found, as COCO result files: detections.bbox.json, detections.segm.json."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""
    json: bool = False
    """Print JSON: an object with the task's metrics and n; for a classifier top1, top5, loss and n."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "evaluate", arguments)

    from modernet import progress
    from modernet.evaluation.segmenting import Inference
    from modernet.files.atomic import check_writable
    from modernet.machine.device import default_device
    from modernet.tasks import EvaluateRequest, get_task, load_network

    saved = load_network(options.run)
    task = get_task(saved.task)
    if options.save_json is not None:
        check_writable(options.save_json, "--save-json")
    with progress.shown():
        inference = Inference(options.window, options.stride or options.window * 2 // 3, options.scales, options.flip)
        request = EvaluateRequest(
            options.run,
            options.data,
            options.split,
            options.batch_size,
            default_device(),
            options.skip_unreadable,
            inference,
            options.save_json,
        )
        measured = task.evaluate(saved, request)
    if options.json:
        print_json(measured)
        return
    text = results(task.metrics, measured)
    loss = f", loss {measured['loss']:.4f}" if "loss" in measured else ""
    print(f"{saved.spec.name} on {options.data}, {options.split}: {text}{loss}")
