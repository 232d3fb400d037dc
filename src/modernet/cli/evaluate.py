"""`modernet evaluate`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from modernet.cli.options import parse
from modernet.cli.output import print_json, results
from modernet.errors import InputError
from modernet.files.names import valid_text
from modernet.records import RECORD_NAME, Metric, Record

if TYPE_CHECKING:
    import torch

    from modernet.tasks import Measured
    from modernet.weights import SavedNetwork

_MOST_WORST = 5
_REAL = Metric("top1", "top-1")


@dataclass(frozen=True, kw_only=True)
class Options:
    """Evaluate a network on a data set: one that you trained, or one with published weights.

    Examples:
      modernet evaluate runs/train-convnext_test-my_photos --data my_photos      what training left out
      modernet evaluate runs/train-convnext_test-my_photos --data new_photos     new_photos/CLASS/*.jpg, all of them
      modernet evaluate --model convnext_tiny.fb_in1k --data imagenet            ImageNet's validation images
      modernet evaluate --model mobilenet_v2 --weights mobilenet_v2-b0353104.pth --data my_photos
      modernet evaluate --model convnext_tiny.fb_in1k --data my_photos --class-map my_map.csv

    The data need not have all classes of the network. They are matched by name (tench), by ImageNet's synset
    (n01440764) or by index (0), and what was matched is printed. Images are prepared as the weights require.
    """

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """Folder of a finished run, unless --model is given."""
    model: str | None = None
    """Network with published weights (downloaded once; see modernet weights), or with those of --weights."""
    weights: Path | None = None
    """Weights for --model: a file or folder of its authors, timm, torchvision, transformers or OpenMMLab."""
    data: str
    """Images: a folder (class/image, or test or val above it), shards, parquet, URL, hf:org/name, or a name. Of one set
    without splits, all are evaluated; or, if the network learned from some, those that it did not. ImageNet's
    validation images may be in one folder, with val.txt in it or beside it."""
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
    class_map: Path | None = None
    """Classification: a .csv, .tsv or .json file with classes of the data and, for each, the class of the network by
    its name, synset or index, such as: my fish,n01440764. Other classes are matched as without it."""
    real: Path | None = None
    """Classification: real.json, for the accuracy by the ReaL labels of ImageNet's validation images as well."""
    out: Path | None = None
    """Folder for a record of it, with the accuracy of each class and which classes are confused: modernet report shows
    it."""
    skip_unreadable: bool = False
    """Skip images that cannot be read, and list them."""
    json: bool = False
    """Print JSON: an object with the task's metrics, in all and of each class, and n; for a classifier top1 and top5
    with the ends of their 95 % interval (top1_low, top1_high), loss, n, and top1/CLASS."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "evaluate", arguments)

    from modernet import progress
    from modernet.cli.networks import open_network
    from modernet.evaluation.segmenting import Inference
    from modernet.files.atomic import check_writable
    from modernet.machine.device import default_device
    from modernet.tasks import EvaluateRequest, get_task

    with progress.shown():
        saved = open_network(options.run, options.model, options.weights)
        task = get_task(saved.task)
        if options.save_json is not None:
            check_writable(options.save_json, "--save-json")
        if options.out is not None:
            _check_out(options.out)
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
            options.class_map,
            options.real,
        )
        measured = task.evaluate(saved, request)
    if options.out is not None:
        _record(options, saved, task.metrics, measured, request.device).write(options.out / RECORD_NAME)
    if options.json:
        of_classes = {
            f"{metric}/{name}": value
            for name, row in measured.per_class.items()
            for metric, value in row.items()
            if metric != "n"
        }
        print_json({**measured.metrics, **of_classes})
        return
    text = results(task.metrics, measured.metrics)
    loss = f", loss {measured.metrics['loss']:.4f}" if "loss" in measured.metrics else ""
    print(f"{options.model or saved.spec.name} on {options.data}, {options.split}: {text}{loss}")
    if options.real is not None:
        print(f"ReaL: {results((_REAL,), measured.metrics, 'real')}")
    for line in _worst_classes(task.metrics[0], measured.per_class):
        print(line)


def _worst_classes(primary: Metric, per_class: Mapping[str, Mapping[str, float]]) -> list[str]:
    """Return lines for the classes with the lowest primary metric, of those that are not perfect; the largest first
    where it is equal.
    """
    wrong = [(name, row) for name, row in per_class.items() if row.get(primary.name, 100) < 100]
    wrong.sort(key=lambda each: (each[1][primary.name], -each[1].get("n", 0)))
    return [f"  {results((primary,), row)}  {name}" for name, row in wrong[:_MOST_WORST]]


def _check_out(folder: Path) -> None:
    """Check that a record can be written to a folder, and replaces none, such as that of a run."""
    from modernet.files.atomic import check_writable

    if (folder / RECORD_NAME).exists():
        raise InputError(f"{folder} has a {RECORD_NAME}; give another --out, or remove it")
    check_writable(folder)


def _record(
    options: Options, saved: SavedNetwork, metrics: tuple[Metric, ...], measured: Measured, device: torch.device
) -> Record:
    """Make the record of an evaluation."""
    import torch

    from modernet.files.fingerprint import file_sha256
    from modernet.machine.device import describe
    from modernet.records import environment

    weights: dict[str, str] = {}
    if options.weights is not None and options.weights.is_file():
        weights = {"file": options.weights.name, "fingerprint": file_sha256(options.weights)[:12]}
    return Record(
        kind="evaluate",
        name=options.model or saved.spec.name,
        settings={
            "task": saved.task,
            "model": saved.spec.name,
            "model_fields": saved.spec.fields,
            "run": None if options.run is None else valid_text(options.run.resolve().name),
            "weights": weights,
            "data": {"name": measured.data, "classes": len(measured.per_class), "n": measured.metrics["n"]},
            "split": options.split,
            "preparation": asdict(saved.preparation),
        },
        metrics={f"{options.split}_{name}": value for name, value in measured.metrics.items()},
        environment=environment(describe(device, torch.get_num_threads())),
        task_metrics=metrics,
        details={**measured.details, "per_class": measured.per_class},
    )
