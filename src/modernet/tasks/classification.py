"""Image classification."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, ClassVar, Unpack

import torch
from torch import Tensor, nn

from modernet import evaluation
from modernet.data import Batch, ImageDataset
from modernet.errors import InputError
from modernet.evaluation import evaluate_classifier, saved_loader
from modernet.evaluation.accuracy import with_interval
from modernet.evaluation.class_map import read_class_map
from modernet.evaluation.judging import judge_classifier
from modernet.evaluation.real_labels import RealLabels
from modernet.evaluation.segmenting import WHOLE
from modernet.machine.device import default_device
from modernet.models import Backbone
from modernet.recipes import ClassificationRecipe, for_classification
from modernet.records import CLASSIFICATION, Metric, Record
from modernet.tasks.criterion import criterion
from modernet.tasks.frozen import FrozenClassifier
from modernet.tasks.head import drop_features, scale_head, with_pool
from modernet.tasks.images import (
    ImageTask,
    check_data,
    continued_from,
    data_settings,
    find_given,
    image_settings,
    network_cost,
    open_for_saved,
    open_request,
)
from modernet.tasks.registry import EvaluateRequest, Measured, PredictRequest, TrainRequest, check_classifying
from modernet.tasks.start import go_on_from, is_pretraining, load_start
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights

metrics = CLASSIFICATION
class_metric = metrics[0]
_FIVE = 5  # classes; with so few, every answer is among the best five


class Classification(ImageTask):
    """Training of a classifier: images `(b, 3, h, w)` -> logits `(b, k)`."""

    kind: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[Metric, ...]] = metrics

    def __init__(
        self,
        network: nn.Module,
        spec: NetworkSpec,
        dataset: ImageDataset,
        recipe: ClassificationRecipe,
        context: RunContext,
        seed: int = 0,
    ) -> None:
        super().__init__(network, spec, dataset, recipe, context, seed)
        self._criterion = criterion(recipe)

    def weight(self, batch: Batch) -> float:
        return len(batch.images)

    def loss(self, network: Callable[..., Any], batch: Batch) -> tuple[Tensor, Mapping[str, Tensor]]:
        try:
            logits = network(batch.images)
        except ValueError as error:
            if "more than 1 value per channel" not in str(error):
                raise
            raise InputError(
                "the batch norms of this network need more than one image per micro-batch; give a larger --batch-size "
                "or --device-batch, or fewer processes"
            ) from error
        loss = self._criterion(logits, batch.targets)
        if batch.targets.ndim == 2:  # accuracy is not defined for mixed images
            return loss, {}
        return loss, {"top1": 100 * (logits.detach().argmax(1) == batch.targets).float().mean()}

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        title = "validating" if split == "validation" else "testing"
        return asdict(evaluate_classifier(network, self.held_out(split), title, self.context.processes))

    def save(self, folder: Path, network: nn.Module) -> None:
        super().save(folder, network.merged() if isinstance(network, FrozenClassifier) else network)


def train_classifier(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: ClassificationRecipe,
    *,
    seed: int = 0,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
    **run: Unpack[RunOptions],
) -> Record:
    """Train a classifier, test it, and leave its weights and its record in a folder.

    Args:
        spec: the network.
        dataset: the images, with their three splits.
        recipe: how to train.
        seed: of the initial weights, the order of the images, and all noise.
        start: weights to start from instead of random ones, except for the classifier; that is kept only where they are
            those of a run with the same classes, and the recipe is not `frozen`. Images are normalised as they require.
        study: the place of the run in its study, for the record's settings.
        run: `folder` and the other arguments of `run_task`.

    Raises:
        InputError: the images are too small for the network, or the weights to start from do not fit; and what
            `run_task` raises.
    """
    dataset, spec = continued_from(dataset, start), with_pool(spec, recipe.global_pool)
    settings = classifier_settings(spec, dataset, recipe, seed, start=start, study=study)
    settings |= network_cost(build_network, spec, dataset)

    def build(context: RunContext) -> Classification:
        network = spec.build(len(dataset.classes), recipe.regularization.drop_path)
        assert isinstance(network, Backbone), "every NetworkSpec builds a backbone"
        kept = False
        if start is not None and start.trained is not None and not is_pretraining(start) and not recipe.frozen:
            kept = go_on_from(start, network, spec, dataset.classes, build_network)
        elif start is not None:
            load_start(start, network)
        if not kept:
            scale_head(network, recipe.regularization.head_init_scale)
        if recipe.frozen:
            return Classification(FrozenClassifier(network), spec, dataset, recipe, context, seed)
        drop_features(network, recipe.regularization.dropout)
        return Classification(network, spec, dataset, recipe, context, seed)

    return run_task(build, RunSpec(spec.name, recipe, seed, settings), **run)


def classifier_settings(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: ClassificationRecipe,
    seed: int,
    *,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings of a classifier's record, by which a finished run is recognised."""
    settings = image_settings(with_pool(spec, recipe.global_pool), dataset, recipe, seed, start=start, study=study)
    if start is not None and recipe.frozen:
        settings["weights"]["classifier"] = "new"
    return settings


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = for_classification(request.recipe)
    spec, start, dataset = open_request(request, recipe, "classes")
    return functools.partial(train_classifier, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> nn.Module:
    """As `TaskModule.build_network`."""
    return spec.build(num_classes)


def check(request: EvaluateRequest | PredictRequest) -> None:
    """As `TaskModule.check`."""
    if isinstance(request, PredictRequest):
        check_classifying(request)
        return
    if request.inference != WHOLE:
        raise InputError("a classifier sees one crop of each image; leave out --window, --scales and --flip")
    if request.save_json is not None:
        raise InputError("--save-json writes what a detector finds; leave it out, or use --json > FILE")
    if request.corrupt is not None:
        raise InputError("modernet robustness tests classifiers on corrupted images; leave out corrupt")
    check_data(request)
    if request.class_map is not None:
        read_class_map(request.class_map)


find = find_given


def evaluate(saved: SavedNetwork, request: EvaluateRequest) -> Measured:
    """As `TaskModule.evaluate`, with intervals as of independent images; with `real`, also `real_top1` and `real_n`.

    `top5` is left out for five classes or fewer, where it is always 100.
    """
    check(request)
    opened = open_for_saved(saved, request, "classes", in_memory=not request.real)
    real = RealLabels(opened.split, saved.classes) if request.real else None
    loader = saved_loader(
        saved, opened, batch_size=request.batch_size, device=request.device, class_map=request.class_map
    )
    network = saved.network.to(request.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    judged = judge_classifier(network, loader)
    accuracy = judged.accuracy()
    measured = with_interval("top1", accuracy.top1, accuracy.n)
    if len(saved.classes) > _FIVE:
        measured |= with_interval("top5", accuracy.top5, accuracy.n)
    measured |= {"loss": accuracy.loss, "n": accuracy.n}
    if real is not None:
        by_real = real.accuracy(judged)
        measured |= {**with_interval("real_top1", by_real.top1, by_real.n), "real_n": by_real.n}
    confusion = judged.confusion(saved.classes)
    details = {"confusion": confusion} if confusion else {}
    return Measured(data_settings(opened), measured, judged.per_class(saved.classes), details)


def predict(saved: SavedNetwork, paths: Sequence[Path], request: PredictRequest) -> Iterator[evaluation.Prediction]:
    """As `TaskModule.predict`."""
    check(request)
    return evaluation.predict_each(
        saved, paths, top=request.top, skip_unreadable=request.skip_unreadable, device=default_device()
    )
