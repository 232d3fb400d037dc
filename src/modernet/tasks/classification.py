"""Image classification."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Unpack

import torch
from torch import Tensor, nn

from modernet import evaluation, progress
from modernet.counting import Counts, count
from modernet.data import Batch, ImageDataset, Loader, image_name, make_loader, open_dataset
from modernet.data.fingerprint import fingerprint
from modernet.errors import InputError
from modernet.evaluation import evaluate_classifier, evaluate_saved
from modernet.files.fingerprint import file_sha256
from modernet.models import Backbone
from modernet.recipes import ClassificationRecipe, for_classification, leaves
from modernet.records import CLASSIFICATION, Metric, Record
from modernet.tasks.criterion import criterion
from modernet.tasks.head import drop_features, scale_head
from modernet.tasks.opening import open_request
from modernet.tasks.registry import TrainRequest
from modernet.training.context import RunContext
from modernet.training.run import RunOptions, RunSpec, run_task
from modernet.training.task import HeldOut, Task
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights, save_network

_EVALUATION_BATCH = 128  # no backward pass: it may be larger than a small training batch


class Classification(Task):
    """Training of a classifier.

    Args:
        network: images `(b, 3, h, w)` -> logits `(b, k)`.
        spec: how the network was built, to save it.
        seed: of the order of the images and their augmentation.
    """

    kind: ClassVar[str] = "classification"
    metrics: ClassVar[tuple[Metric, ...]] = CLASSIFICATION

    def __init__(
        self,
        network: nn.Module,
        spec: NetworkSpec,
        dataset: ImageDataset,
        recipe: ClassificationRecipe,
        context: RunContext,
        seed: int = 0,
    ) -> None:
        self.network = network
        self._spec, self._dataset, self._recipe, self._context = spec, dataset, recipe, context
        self._criterion = criterion(recipe)
        self._held_out: dict[HeldOut, Loader] = {}
        self.batches: Loader = make_loader(
            dataset,
            dataset.train,
            batch_size=recipe.batch_size,
            device=context.device,
            augmentation=recipe.augmentation,
            sizes=recipe.images,
            seed=seed,
            workers=context.execution.loading_workers,
            parts=context.micro_batches,
            rank=context.processes.rank,
            world=context.processes.world,
        )

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

    def samples(self, batch: Batch) -> int:
        return len(batch.images)

    def names(self, batch: Batch) -> Callable[[], list[str]]:
        split, positions = self._dataset.train, batch.positions
        return lambda: [image_name(split, position) for position in positions.tolist()]

    def evaluate(self, network: nn.Module, split: HeldOut) -> dict[str, float]:
        title = "validating" if split == "validation" else "testing"
        if split not in self._held_out:
            self._held_out[split] = self._loader_of(split)
        return asdict(evaluate_classifier(network, self._held_out[split], title, self._context.processes))

    def save(self, folder: Path, network: nn.Module) -> None:
        save_network(folder, network, self._spec, self._dataset, self._recipe.images)

    def _loader_of(self, split: HeldOut) -> Loader:
        processes, recipe = self._context.processes, self._recipe
        batch = max(recipe.batch_size // self._context.micro_batches, _EVALUATION_BATCH) * processes.world
        return make_loader(
            self._dataset,
            getattr(self._dataset, split),
            batch_size=batch,
            device=self._context.device,
            augmentation=None,
            sizes=recipe.images,
            workers=self._context.execution.loading_workers,
            rank=processes.rank,
            world=processes.world,
        )


def classifier_settings(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: ClassificationRecipe,
    seed: int,
    study: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings of a run's record; two runs with equal settings give equal results on one device.

    Args:
        study: the place of the run in its study, as the study writes it.
    """
    return {
        **(study or {}),
        **asdict(_cost(spec.kind, spec.name, json.dumps(spec.fields), len(dataset.classes), dataset.image_size)),
        "model": spec.name,
        "model_kind": spec.kind,
        "model_fields": dict(spec.fields),
        "data": {**dataset.summary(), "fingerprint": fingerprint(dataset)},
        "recipe": leaves(recipe),
        "seed": seed,
    }


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
        start: weights to start from instead of random ones, except for the classifier. Images are normalised as they
            require.
        study: the place of the run in its study, for the record's settings.
        run: `folder` and the other arguments of `run_task`.

    Raises:
        InputError: the images are too small for the network, or the weights to start from do not fit; and what
            `run_task` raises.
    """
    if start is not None:
        dataset = replace(dataset, mean=start.mean, std=start.std)
    settings = classifier_settings(spec, dataset, recipe, seed, study)
    if start is not None:
        settings["weights"] = {"file": start.path.name, "fingerprint": file_sha256(start.path)[:12]}

    def build(context: RunContext) -> Classification:
        network = spec.build(len(dataset.classes), recipe.regularization.drop_path)
        if start is not None:
            loaded = start.load_into(network)
            resampled = f", resampled {', '.join(loaded.resampled)}" if loaded.resampled else ""
            progress.say(f"starting from {start.path.name} ({loaded.project} names){resampled}; the classifier is new")
        assert isinstance(network, Backbone), "every NetworkSpec builds a backbone"
        scale_head(network, recipe.regularization.head_init_scale)
        drop_features(network, recipe.regularization.dropout)
        return Classification(network, spec, dataset, recipe, context, seed)

    return run_task(build, RunSpec(spec.name, recipe, seed, settings), **run)


@functools.cache
def _cost(kind: Any, name: str, fields: str, num_classes: int, image_size: int) -> Counts:
    """Count parameters and multiply-accumulates of a network; studies ask for the same one once per seed."""
    with torch.device("meta"):
        return count(NetworkSpec(kind, name, json.loads(fields)).build(num_classes), image_size)


# --- what the command line asks for ----------------------------------------------------------------------------------

metrics = CLASSIFICATION


def prepare(request: TrainRequest) -> Callable[..., Record]:
    """As `TaskModule.prepare`."""
    recipe = for_classification(request.recipe)
    spec, start, dataset = open_request(request, recipe)
    return functools.partial(train_classifier, spec, dataset, recipe, seed=request.seed, start=start)


def build_network(spec: NetworkSpec, num_classes: int) -> nn.Module:
    """As `TaskModule.build_network`."""
    return spec.build(num_classes)


def evaluate(
    saved: SavedNetwork,
    data: str,
    split: Literal["train", "validation", "test"],
    *,
    batch_size: int,
    device: torch.device,
    skip_unreadable: bool,
) -> dict[str, float]:
    """As `TaskModule.evaluate`."""
    dataset = open_dataset(
        data,
        image_size=saved.image_size,
        skip_unreadable=skip_unreadable,
        whole_images=saved.crop < 1,
        interpolation=saved.interpolation,
    )
    return asdict(evaluate_saved(saved, dataset, split, batch_size=batch_size, device=device))


predict = evaluation.predict
