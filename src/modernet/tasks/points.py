"""Classification of point clouds."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, Unpack

from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.points.dataset import PointBatch, PointDataset
from modernet.data.points.loading import parts_of_cloud, point_loader
from modernet.evaluation.class_counts import ClassifiedExample, guesses
from modernet.evaluation.clouds import Clouds
from modernet.evaluation.points import measure_clouds, numbered_clouds
from modernet.files.names import valid_text
from modernet.machine.device import default_device
from modernet.recipes import PointRecipe
from modernet.records import Metric, Record
from modernet.statistics import wilson_interval
from modernet.tasks import point_runs
from modernet.tasks.point_clouds import answer, each_cloud, find_clouds
from modernet.tasks.point_task import PointTask, over_last_epochs, train_point_task
from modernet.tasks.registry import EvaluateRequest, Measured, PredictRequest, TrainRequest, check_classifying
from modernet.training.run import RunOptions
from modernet.training.task import HeldOut
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights

metrics = (
    Metric("accuracy", "accuracy"),
    Metric("mean_accuracy", "mean accuracy of the classes"),
    *over_last_epochs("accuracy", "accuracy"),
)
class_metric = metrics[0]


class PointClassification(PointTask):
    """Training of a classifier of clouds: float32 (b, n, channels) -> logits (b, k)."""

    kind: ClassVar[str] = "points"
    metrics: ClassVar[tuple[Metric, ...]] = metrics

    def weight(self, batch: PointBatch) -> float:
        return len(batch.targets)

    def loss(self, network: Callable[..., Any], batch: PointBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
        logits, penalty = self.answers(network, batch)
        right = logits.detach().argmax(1) == batch.targets
        loss = F.cross_entropy(logits, batch.targets, label_smoothing=self._recipe.label_smoothing)
        return loss + penalty, {"accuracy": 100 * right.float().mean()}

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        """Measure every cloud, a share of them in each process. Details are the confusion of classes, and pictures."""
        dataset, processes = self.dataset, self.context.processes
        title = "validating" if split == "validation" else "testing"
        clouds = Clouds(dataset.test, dataset.classes, dataset.up) if split == "test" else None
        loader = self.held_out(split)
        confusion, measured = measure_clouds(network, loader, len(dataset.classes), title, processes, clouds)
        if clouds is not None:
            self.details = {
                "confusion": point_runs.confusion_details(confusion, dataset.classes),
                "clouds": clouds.gather(processes),
            }
        return measured


def train_points(
    spec: NetworkSpec,
    dataset: PointDataset,
    recipe: PointRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a classifier of point clouds, test it, and leave its weights and its record in a folder.

    Args:
        spec: the network, of kind `"points"`.
        dataset: the clouds, with their three splits.
        recipe: how to train.
        seed: of the initial weights, the order of the clouds, and all noise.
        start: the weights of a finished run of classification to start from; its classifier is kept where the classes
            are the same.
        study: the place of the run in its study, for the record's settings.
        run: `folder` and the other arguments of `run_task`.

    Raises:
        InputError: there is no such network, or the weights to start from do not fit; and what `run_task` raises.

    >>> from modernet.data.points.opening import open_points
    >>> train_points(
    ...     NetworkSpec("points", "ascn", {}), open_points("solids"), get_recipe("points_nano"), folder="runs/solids"
    ... )  # doctest: +SKIP
    """
    return train_point_task(
        PointClassification, build_network, spec, dataset, recipe, seed=seed, start=start, study=study, **run
    )


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = request.recipe
    assert isinstance(recipe, PointRecipe)
    spec, start, dataset = point_runs.open_request(request)
    return functools.partial(train_points, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> nn.Module:
    """As `TaskModule.build_network`."""
    return spec.build(num_classes)


def check(request: EvaluateRequest | PredictRequest) -> None:
    """As `TaskModule.check`."""
    if isinstance(request, PredictRequest):
        check_classifying(request)
    else:
        point_runs.check_evaluation(request)


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> Measured:
    """As `TaskModule.evaluate`, with the interval of the accuracy as of independent clouds, and the `accuracy` of each
    class that occurs.
    """
    dataset = point_runs.open_for_saved(saved, request)
    split = numbered_clouds(getattr(dataset, request.split), dataset, saved.classes)
    inputs = point_runs.inputs_of(saved)
    loader = point_loader(split, inputs, batch_size=request.batch_size, device=request.device, train=False)
    clouds = Clouds(split, saved.classes, dataset.up)
    network = saved.network.to(request.device)
    confusion, measured = measure_clouds(network, loader, len(saved.classes), "evaluating", clouds=clouds)
    ends = wilson_interval(measured["accuracy"] / 100, measured["n"])
    measured |= {"accuracy_low": 100 * ends.low, "accuracy_high": 100 * ends.high}
    rows = zip(saved.classes, confusion.counts.tolist(), confusion.counts.diagonal().tolist(), strict=True)
    return Measured(
        point_runs.evaluation_settings(dataset, split),
        measured,
        {name: {"accuracy": 100 * right / sum(row), "n": sum(row)} for name, row, right in rows if sum(row)},
        {"confusion": point_runs.confusion_details(confusion, saved.classes), "clouds": clouds.gather()},
    )


find = find_clouds


def predict(saved: SavedNetwork, found: Sequence[Path], request: PredictRequest) -> Iterator[ClassifiedExample]:
    """As `TaskModule.predict`, from as many points of each cloud as the network was trained with."""
    check(request)
    inputs, network = point_runs.inputs_of(saved), saved.network.to(default_device())
    for path, cloud in each_cloud(found, inputs, skip_unreadable=request.skip_unreadable):
        shown, _ = parts_of_cloud(cloud.points, inputs)
        name = valid_text(str(path))
        yield ClassifiedExample(name, guesses(answer(network, shown[:1])[0], saved.classes, name)[: request.top])
