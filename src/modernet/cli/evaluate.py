"""`modernet evaluate`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from modernet.cli.networks import check_network, open_network
from modernet.cli.options import parse
from modernet.cli.output import check_free_of_records, print_json, results
from modernet.files.names import valid_text
from modernet.records import RECORD_NAME, Metric, Record, worst_classes

if TYPE_CHECKING:
    from modernet.tasks import EvaluateRequest, Measured, NamedNetwork
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
      modernet evaluate runs/sequences-train-s4d_lin-listops-nano --data listops-nano          a run on sequences
      modernet evaluate runs/points-train-ascn-solids --data solids                            on point clouds

    The data need not have all classes of the network. They are matched by name (tench), by ImageNet's synset
    (n01440764) or by index (0), and what was matched is printed. Images are prepared as the weights require. The answer
    is the best of all the network's classes; figures for ImageNet-A and -R are among their 200: modernet robustness.
    """

    run: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[RUN]")] = None
    """Folder of a finished run, or of modernet optimize, unless --model is given."""
    model: str | None = None
    """Network with published weights (downloaded once; see modernet weights), or with those of --weights."""
    weights: Path | None = None
    """Weights for --model: a file or folder of its authors, timm, torchvision, transformers or OpenMMLab."""
    data: str
    """Images: a folder (class/image, or test or val above it), shards, parquet, URL, hf:org/name, or a name. Of one set
    without splits, all are evaluated; or, if the network learned from some, those that it did not. ImageNet's
    validation images may be in one folder, with val.txt in it or next to it. Sequences and point clouds: as in
    training."""
    split: Literal["train", "validation", "test"] = "test"
    """Split to evaluate on."""
    batch_size: int = 128
    """Images, sequences or point clouds per batch; a detector takes at most 8."""
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
    real: bool = False
    """Classification: measure the accuracy by the ReaL labels of ImageNet's validation images as well."""
    out: Path | None = None
    """Folder for the record: metrics, those of each class, and the confusion of classes. modernet report shows it."""
    skip_unreadable: bool = False
    """Skip what cannot be read, and list it."""
    trust: bool = False
    """Run the program in a folder of modernet optimize that someone else has saved: it can do anything."""
    json: bool = False
    """Print JSON: an object with the task's metrics, in all and of each class, and n; for a classifier top1 and, if it
    has more than five classes, top5, with the ends of their 95 % interval (top1_low, top1_high), loss, and top1/CLASS;
    for sequences and point clouds accuracy, likewise.
    """


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "evaluate", arguments)
    kind = check_network(options.run, options.model, options.weights)

    from modernet import progress
    from modernet.evaluation.segmenting import Inference
    from modernet.files.atomic import check_writable
    from modernet.machine.device import default_device
    from modernet.tasks import EvaluateRequest, get_task

    with progress.shown():
        task = get_task(kind)
        inference = Inference(options.window, options.stride or options.window * 2 // 3, options.scales, options.flip)
        request = EvaluateRequest(
            run=options.run,
            data=options.data,
            split=options.split,
            batch_size=options.batch_size,
            device=default_device(),
            skip_unreadable=options.skip_unreadable,
            inference=inference,
            save_json=options.save_json,
            class_map=options.class_map,
            real=options.real,
        )
        task.check(request)
        if options.save_json is not None:
            check_writable(options.save_json, "--save-json")
        if options.out is not None:
            check_free_of_records(options.out)
        network = open_network(options.run, options.model, options.weights, trust=options.trust)
        measured = task.evaluate(network.saved, request)
    if options.out is not None:
        _record(options.model, network, request, measured).write(options.out / RECORD_NAME)
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
    print(f"{options.model or network.saved.spec.name} on {options.data}, {options.split}: {text}{loss}")
    if options.real:
        print(f"ReaL: {results((_REAL,), measured.metrics, 'real')}")
    worst = worst_classes(measured.per_class, task.class_metric.name, _MOST_WORST)
    if worst:
        print("worst classes:")
    for name, row in worst:
        print(f"  {results((task.class_metric,), row)}  {name}")


def _record(model: str | None, network: NamedNetwork, request: EvaluateRequest, measured: Measured) -> Record:
    """Make the record of an evaluation."""
    import torch

    from modernet.machine.device import describe
    from modernet.records import environment
    from modernet.tasks import get_task

    saved, task = network.saved, get_task(network.saved.task)
    return Record(
        kind="evaluate",
        name=model or saved.spec.name,
        settings={
            "task": saved.task,
            "model": saved.spec.name,
            "model_fields": saved.spec.fields,
            "run": None if network.run is None else valid_text(network.weights),
            "weights": {"file": valid_text(network.weights), "fingerprint": network.fingerprint()},
            "data": {**measured.data, "classes": len(measured.per_class)},
            "split": request.split,
            **_inputs(saved),
            "inference": asdict(request.inference),
            "class_map": _file(request.class_map),
            "real": request.real,
        },
        metrics={f"{request.split}_{name}": value for name, value in measured.metrics.items()},
        environment=environment(describe(request.device, torch.get_num_threads())),
        task_metrics=task.metrics,
        details={
            **measured.details,
            "per_class": measured.per_class,
            "class_metric": {"name": task.class_metric.name, "title": task.class_metric.title},
        },
    )


def _inputs(saved: SavedNetwork) -> dict[str, Any]:
    """Return what a record says of how a network is given images, sequences or point clouds."""
    from modernet.data.points.inputs import PointInputs
    from modernet.preparation import Preparation

    names = {Preparation: "preparation", PointInputs: "clouds"}
    return {names.get(type(saved.inputs), "encoding"): asdict(saved.inputs)}


def _file(path: Path | None) -> dict[str, str]:
    """Return what a record says of a file; nothing without one."""
    from modernet.files.fingerprint import file_sha256

    return {} if path is None else {"file": valid_text(path.name), "fingerprint": file_sha256(path)[:12]}
