"""Segmentation of point clouds: the parts of shapes, or what a scene consists of."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Unpack

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.points.dataset import PointBatch, PointDataset
from modernet.data.points.loading import parts_of_cloud, point_loader
from modernet.data.points.ply import write_ply
from modernet.errors import InputError
from modernet.evaluation.clouds import Clouds
from modernet.evaluation.drawings import drawing_files
from modernet.evaluation.points import answered_parts, measure_points, numbered_parts
from modernet.evaluation.scores import NonFiniteScores
from modernet.files.names import valid_text
from modernet.machine.device import default_device
from modernet.palette import palette
from modernet.points.drawing import hex_colours
from modernet.recipes import PointSegmentationRecipe
from modernet.records import Metric, Record
from modernet.tasks import point_runs
from modernet.tasks.point_clouds import answer, each_cloud, find_clouds
from modernet.tasks.point_task import PointTask, over_last_epochs, train_point_task
from modernet.tasks.registry import EvaluateRequest, Measured, PredictRequest, TrainRequest
from modernet.training.run import RunOptions
from modernet.training.task import HeldOut
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights

metrics = (
    Metric("miou", "mIoU"),
    Metric("category_miou", "mIoU of the categories"),
    Metric("accuracy", "accuracy of the points"),
    Metric("mean_accuracy", "mean accuracy of the classes"),
    *over_last_epochs("miou", "mIoU"),
)
class_metric = Metric("iou", "IoU")


class PointSegmentation(PointTask):
    """Training of a network for the class of each point: clouds and their categories -> logits (b, n, k)."""

    kind: ClassVar[str] = "point_segmentation"
    metrics: ClassVar[tuple[Metric, ...]] = metrics

    def weight(self, batch: PointBatch) -> float:
        return batch.targets.numel()

    def loss(self, network: Callable[..., Any], batch: PointBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        answers, penalty = self.answers(network, batch)
        logits, targets = answers.flatten(0, 1), batch.targets.flatten()
        right = logits.detach().argmax(1) == targets
        loss = F.cross_entropy(logits, targets, label_smoothing=self._recipe.label_smoothing)
        return loss + penalty, {"accuracy": 100 * right.float().mean()}

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        """Measure every cloud, a share of them in each process. Details are the confusion of points, and pictures."""
        dataset, processes = self.dataset, self.context.processes
        title = "validating" if split == "validation" else "testing"
        clouds = Clouds(dataset.test, dataset.classes, dataset.up) if split == "test" else None
        loader, k = self.held_out(split), len(dataset.classes)
        confusion, measured, _ = measure_points(network, loader, k, dataset.parts, title, processes, clouds)
        if clouds is not None:
            self.details = {
                "confusion": point_runs.confusion_details(confusion, dataset.classes),
                "clouds": clouds.gather(processes),
            }
        return measured


def train_point_segmenter(
    spec: NetworkSpec,
    dataset: PointDataset,
    recipe: PointSegmentationRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a network for the class of each point; arguments and errors as of `train_points`."""
    return train_point_task(PointSegmentation, build_network, spec, dataset, recipe, seed=seed, start=start, **run)


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = request.recipe
    assert isinstance(recipe, PointSegmentationRecipe)
    spec, start, dataset = point_runs.open_request(request)
    return functools.partial(train_point_segmenter, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> nn.Module:
    """As `TaskModule.build_network`."""
    config, inputs = spec.point_parts()
    return config.segmenter(inputs, num_classes)


def check(request: EvaluateRequest | PredictRequest) -> None:
    """As `TaskModule.check`."""
    if isinstance(request, EvaluateRequest):
        point_runs.check_evaluation(request)
    elif request.min_score != PredictRequest.min_score:
        raise InputError("--min-score is for detectors; leave it out, or use --top")


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> Measured:
    """As `TaskModule.evaluate`, with the `iou` of each category of shapes, or of each class of a scene, that occurs; of
    shapes, the interval of `miou` is that of independent shapes.
    """
    dataset = point_runs.open_for_saved(saved, request)
    parts = _parts_of(saved)
    split = numbered_parts(getattr(dataset, request.split), dataset, saved.classes, parts)
    inputs = point_runs.inputs_of(saved)
    loader = point_loader(split, inputs, batch_size=request.batch_size, device=request.device, train=False)
    clouds = Clouds(split, saved.classes, dataset.up)
    network = saved.network.to(request.device)
    confusion, measured, per_class = measure_points(
        network, loader, len(saved.classes), parts, "evaluating", clouds=clouds
    )
    if not per_class:
        ious = zip(saved.classes, confusion.per_class_iou(), strict=True)
        per_class = {name: {"iou": iou} for name, iou in ious if not math.isnan(iou)}
    return Measured(
        point_runs.evaluation_settings(dataset, split),
        measured,
        per_class,
        {"confusion": point_runs.confusion_details(confusion, saved.classes), "clouds": clouds.gather()},
    )


find = find_clouds


@dataclass(frozen=True)
class Share:
    """A class and its share of the points of a cloud."""

    label: str
    share: float  # in [0, 1]
    colour: str
    """Of its points in the PLY file, `#rrggbb`."""


@dataclass(frozen=True)
class SegmentedCloud:
    """The classes found in a cloud, by decreasing number of points."""

    name: str
    predictions: list[Share]

    def lines(self) -> list[str]:
        """Return the prediction as text, a class per line."""
        return [f"{100 * each.share:5.1f} % of the points  {each.label}  {each.colour}" for each in self.predictions]


def predict(saved: SavedNetwork, found: Sequence[Path], request: PredictRequest) -> Iterator[SegmentedCloud]:
    """As `TaskModule.predict`, for every point of each file. Where shapes have categories, a file's is the name of its
    folder.

    `out` receives `NAME.ply`, the points with the colours of their classes, and their classes as the property `label`.

    Raises:
        InputError: as there, or a file would replace a cloud or another one; nothing is predicted then.
    """
    check(request)
    inputs, parts, network = point_runs.inputs_of(saved), _parts_of(saved), saved.network.to(default_device())
    drawn = {} if request.out is None else drawing_files(request.out, found, [".ply"])
    colours = hex_colours(len(saved.classes))
    categories = {path: _category_of(path, parts) for path in found}
    for path, cloud in each_cloud(found, inputs, skip_unreadable=request.skip_unreadable):
        shown, rows = parts_of_cloud(cloud.points, inputs)
        classes = np.empty(len(cloud.points), np.int64)
        for part, row in zip(shown, rows, strict=True):
            category = torch.tensor([categories[path]])
            logits = answer(network, part[None], category)
            if not logits.isfinite().all():
                raise NonFiniteScores.of(str(path))
            classes[row] = answered_parts(logits, category, parts)[0].numpy()
        if request.out is not None:
            write_ply(drawn[path][0], cloud.points, palette(len(saved.classes))[classes], classes, cloud.origin)
        shares = np.bincount(classes, minlength=len(saved.classes)) / len(classes)
        best = np.argsort(-shares, kind="stable")[: request.top].tolist()
        yield SegmentedCloud(
            valid_text(str(path)),
            [Share(saved.classes[index], float(shares[index]), colours[index]) for index in best if shares[index]],
        )


def _category_of(path: Path, parts: Mapping[str, Sequence[int]]) -> int:
    names = list(parts)
    if len(names) == 1:
        return 0
    folder = path.resolve().parent.name
    if folder not in names:
        raise InputError(
            f"{path}: the network has to know what shape it is; put it into a folder called {' or '.join(names)}"
        )
    return names.index(folder)


def _parts_of(saved: SavedNetwork) -> Mapping[str, Sequence[int]]:
    """Return the parts of each category that a trained network knows, as `PointDataset` has them."""
    parts: Mapping[str, Sequence[int]] = saved.spec.head["parts"]
    return parts
