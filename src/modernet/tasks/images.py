"""What tasks on images share: opening network, weights and data, and the loaders of a run."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch
from torch import nn

from modernet.counting import Counts, count
from modernet.data import (
    Batch,
    ImageDataset,
    Loader,
    OpenedSplit,
    check_source,
    find_images,
    image_name,
    make_loader,
    open_dataset,
    open_split,
)
from modernet.data.fingerprint import fingerprint, split_fingerprint
from modernet.data.images.marks import NO_MARKS, Marks, read_marks
from modernet.data.reading import examples_of, on_disk
from modernet.data.targets import TargetKind
from modernet.data.transforms.corruptions import CorruptedImages
from modernet.errors import InputError
from modernet.evaluation import check_given, numbered_split
from modernet.preparation import ImageSize
from modernet.recipes import ImageRecipe
from modernet.tasks.registry import EvaluateRequest, TrainRequest
from modernet.tasks.run_settings import run_settings
from modernet.tasks.start import keeps_classifier, open_network
from modernet.training.context import RunContext
from modernet.training.task import Batches, HeldOut, Task
from modernet.weights import NetworkSpec, SavedNetwork, StartingWeights, save_network

_EVALUATION_BATCH = 128  # no backward pass: it may be larger than a small training batch


class ImageTask(Task):
    """A task on images with one network, built from a backbone.

    Args:
        network: takes images `(b, 3, h, w)`.
        spec: how its backbone was built, to save it.
        dataset: the images, with their three splits.
        recipe: how to train.
        seed: of the order of the images and their augmentation.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: NetworkSpec,
        dataset: ImageDataset,
        recipe: ImageRecipe,
        context: RunContext,
        seed: int = 0,
    ) -> None:
        self.network, self.spec, self.dataset = network, spec, dataset
        self.context, self._recipe = context, recipe
        self._held_out: dict[HeldOut, Loader] = {}
        self.batches: Batches = make_loader(
            dataset,
            dataset.train,
            batch_size=recipe.batch_size,
            device=context.device,
            augmentation=recipe.augmentation,
            preparation=recipe.images.in_training(dataset.preparation),
            seed=seed,
            workers=context.execution.loading_workers,
            place=context.place,
        )

    def samples(self, batch: Batch) -> int:
        return len(batch.images)

    def names(self, batch: Batch) -> Callable[[], list[str]]:
        split, positions = self.dataset.train, batch.positions
        return lambda: [image_name(split, position) for position in positions.tolist()]

    def save(self, folder: Path, network: nn.Module) -> None:
        preparation = self._recipe.images.in_test(self.dataset.preparation)
        save_network(folder, network, self.spec, self.dataset.classes, preparation, self.kind)
        if self.dataset.mark is not None:
            self.dataset.mark().write(folder)

    def held_out(self, split: HeldOut) -> Loader:
        """Return the loader that evaluates a split."""
        if split not in self._held_out:
            batch = max(self._recipe.batch_size // self.context.micro_batches, _EVALUATION_BATCH)
            self._held_out[split] = make_loader(
                self.dataset,
                getattr(self.dataset, split),
                batch_size=batch * self.context.processes.world,
                device=self.context.device,
                augmentation=None,
                preparation=self._recipe.images.in_test(self.dataset.preparation),
                workers=self.context.execution.loading_workers,
                place=self.context.place,
            )
        return self._held_out[split]


class Opened(NamedTuple):
    """What a run starts from."""

    spec: NetworkSpec
    start: StartingWeights | None
    dataset: ImageDataset


def open_request(request: TrainRequest, recipe: ImageRecipe, targets: TargetKind) -> Opened:
    """Open what a request names.

    Raises:
        InputError: the network is unknown or was trained for a task that the recipe cannot go on with, or the weights
            or the data cannot be opened.
    """
    spec, start = open_network(request, recipe)
    image_size: ImageSize | None = recipe.images.image_size
    if image_size is None and start is not None:
        image_size = start.preparation.image_size
    dataset = (_open_once if request.keep_images else open_dataset)(
        request.data,
        targets=targets,
        image_size=image_size,
        skip_unreadable=request.skip_unreadable,
        whole_images=recipe.cuts_images,
        interpolation=recipe.images.interpolation,
    )
    return Opened(spec, start, dataset)


@functools.lru_cache(maxsize=1)
def _open_once(data: str, **settings: Any) -> ImageDataset:
    return open_dataset(data, **settings)


def forget_images() -> None:
    """Let the images go that a request with `keep_images` has opened: on disk they may be others by now."""
    _open_once.cache_clear()


def image_settings(
    spec: NetworkSpec,
    dataset: ImageDataset,
    recipe: ImageRecipe,
    seed: int,
    *,
    start: StartingWeights | None = None,
    study: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings of a run's record, but for `network_cost`; see `run_settings`."""
    kept = start is not None and keeps_classifier(start, dataset.classes, recipe.task)
    data = {**dataset.summary(), "fingerprint": fingerprint(dataset)}
    return run_settings(spec, data, recipe, seed, start=start, classifier_kept=kept, study=study)


def network_cost(
    build: Callable[[NetworkSpec, int], nn.Module],
    spec: NetworkSpec,
    dataset: ImageDataset,
    image_size: ImageSize | None = None,
) -> dict[str, int]:
    """Return parameters and MACs of a network, for a record's settings. The first count in a process takes seconds.

    Args:
        build: makes the network from its spec and the number of classes; a module-level function.
        image_size: of the images that are counted; None: that of the data.

    Raises:
        InputError: the images are too small for the network.
    """
    parts = json.dumps([spec.fields, spec.head])
    return asdict(_count(build, spec.kind, spec.name, parts, len(dataset.classes), image_size or dataset.image_size))


@functools.cache
def _count(
    build: Callable[[NetworkSpec, int], nn.Module],
    kind: Literal["model", "design"],
    name: str,
    parts: str,
    num_classes: int,
    image_size: ImageSize,
) -> Counts:
    with torch.device("meta"):
        return count(build(NetworkSpec(kind, name, *json.loads(parts)), num_classes), image_size)


def continued_from(dataset: ImageDataset, start: StartingWeights | None) -> ImageDataset:
    """Return the data set with the normalisation that the weights to start from require, marked with all images that
    the network will have learned from.
    """
    if start is None:
        return dataset
    if start.trained is not None:
        mark, before = dataset.mark, read_marks(start.path.parent)
        both = None if mark is None or before is None else functools.partial(_marks_of_both, mark, before)
        dataset = replace(dataset, mark=both)
    own = start.preparation
    return replace(dataset, preparation=replace(dataset.preparation, mean=own.mean, std=own.std))


def _marks_of_both(mark: Callable[[], Marks], before: Marks) -> Marks:
    return mark() | before


def find_given(given: Sequence[str]) -> list[Path]:
    """As `TaskModule.find`, for tasks on images.

    Raises:
        InputError: also if nothing is given.
    """
    paths = find_images(given)
    check_given(paths)
    return paths


def check_data(request: EvaluateRequest) -> None:
    """Check that the folder or the file of data is there, before long work.

    Raises:
        InputError: it is not.
    """
    if isinstance(request.data, str):
        check_source(request.data)


def refuse_labels(request: EvaluateRequest) -> None:
    """Check that a request has nothing for classifiers alone.

    Raises:
        InputError: it has.
    """
    if request.class_map is not None or request.real:
        raise InputError("--class-map and --real are for classifiers; leave them out")


def open_for_saved(
    saved: SavedNetwork, request: EvaluateRequest, targets: TargetKind, *, in_memory: bool = True
) -> OpenedSplit:
    """Open the images that a trained network is to be evaluated on, corrupted if the request says so.

    Args:
        in_memory: whether they may be kept in memory, without their names.

    Raises:
        InputError: the data cannot be opened, or an image has a class that the network does not know.
    """
    opened = request.data
    if isinstance(opened, str):
        opened = open_split(
            opened,
            request.split,
            saved.preparation,
            marks=NO_MARKS if request.run is None else read_marks(request.run),
            targets=targets,
            skip_unreadable=request.skip_unreadable,
            memory_limit_mb=2048 if in_memory else 0,
            accept=lambda found: numbered_split(found, saved.classes, request.class_map, quiet=True),
        )
    if request.corrupt is None:
        return opened
    examples = examples_of(opened.split)
    corrupted = on_disk(replace(examples, images=CorruptedImages(examples.images, request.corrupt)))
    return replace(opened, split=corrupted, stored=corrupted)


def data_settings(opened: OpenedSplit) -> dict[str, Any]:
    """Return what the record of an evaluation says of its images."""
    return {
        "name": opened.name,
        "n": len(opened.split),
        "fingerprint": split_fingerprint(opened),
        "unreadable": list(opened.unreadable),
    }
