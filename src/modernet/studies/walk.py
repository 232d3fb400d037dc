"""Walking the road from ResNet to ConvNeXt: every step trained on the same pictures under one recipe."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.atomic import check_writable
from modernet.benchmark import Counts, count
from modernet.data import ImageDataset, open_dataset
from modernet.data.cores import usable_cores
from modernet.errors import InputError
from modernet.recipes import Recipe, default_recipe, get_recipe
from modernet.records import RECORD_NAME, Record, environment, read_record, read_records
from modernet.report import write_report
from modernet.roadmap import Design, Step, default_stem_stride, road, select_steps
from modernet.roadmap.network import build
from modernet.studies.runner import run_all
from modernet.training import (
    choose_device,
    classifier_settings,
    describe_device,
    differences,
    run_identity,
    train_classifier,
)
from modernet.weights import NetworkSpec

_MOST_WORKERS = 8  # each holds its own copy of torch and of the pictures


@dataclass(frozen=True)
class Walk:
    """What all runs of a walk share, as it was asked for; see `walk_road`."""

    data: str
    size: str
    recipe: Recipe
    image_size: int | None
    skip_unreadable: bool
    device: str
    folder: Path


@dataclass(frozen=True)
class WalkRun:
    """One training of a walk: a step with a seed."""

    walk: Walk
    step: Step
    seed: int
    spec: NetworkSpec
    recipe: Recipe
    study: dict[str, Any]
    """What the record's settings say of the step."""
    settings: dict[str, Any]
    """What the record will say was run; an earlier record of the same is this run, finished."""

    @property
    def name(self) -> str:
        """The step's title."""
        return self.spec.name

    @property
    def cost(self) -> float:
        """Pictures that training shows to the network."""
        return float(self.recipe.schedule.epochs * self.settings["data"]["n_train"])

    @property
    def folder(self) -> Path:
        """Where its record and weights go."""
        return self.walk.folder / f"{self.step.order:02d}-{self.step.name}" / f"seed-{self.seed}"


def walk_road(
    data: str = "digit_scenes",
    *,
    size: str = "nano",
    steps: str = "0-13",
    seeds: int = 3,
    recipe: Recipe | None = None,
    image_size: int | None = None,
    stem_stride: int | None = None,
    skip_unreadable: bool = False,
    workers: int | None = None,
    device: torch.device | None = None,
    folder: str | os.PathLike[str],
) -> list[Record]:
    """Train the steps of the road and report on them.

    A step that is finished in `folder` is not trained again, an unfinished one goes on from its checkpoint, and one
    that fails is reported while the rest goes on. The folder gets a record for each run, `road.png` and `report.html`.

    Args:
        data: what `open_dataset` opens.
        size: `nano`, `tiny` (ResNet-50 to ConvNeXt-T) or `base` (ResNet-200 to ConvNeXt-B).
        steps: which steps: `"0-13"`, `"0,4,13"`, `"8a-8d"`, `"all"`.
        seeds: trainings of each step, with seeds 0, 1, ...
        recipe: of every step but 0, which has the recipe of ResNet's time, with the same epochs, batch and
            augmentation in space; None is the `default_recipe` of the data.
        image_size: side of the pictures in pixels; None is the data set's own.
        stem_stride: of every network; None goes by the size of the pictures.
        skip_unreadable: leave out pictures that cannot be read, instead of stopping.
        workers: processes side by side; None is one for each core, at most 8, for `nano` on a CPU, and else 1.
        device: where to train; None is this machine's accelerator if it has one.

    Returns:
        The records of the steps asked for, those of failed runs included, in the order of steps and seeds.

    Raises:
        InputError: an argument is out of range, the pictures cannot be used, or `folder` holds another walk.
        Interrupted: Ctrl-C; the same call goes on.
    """
    if seeds < 1:
        raise InputError(f"seeds is {seeds}; give 1 or more")
    if workers is not None and workers < 1:
        raise InputError(f"workers is {workers}; give 1 or more")
    recipe = recipe or get_recipe(default_recipe(data))
    device = device or choose_device()
    walk = Walk(data, size, recipe, image_size, skip_unreadable, str(device), Path(folder))
    select_steps(road(size), steps)  # a wrong name is said before pictures are read
    check_writable(walk.folder)
    _opened.cache_clear()
    dataset = _opened(data, image_size, skip_unreadable)
    stride = default_stem_stride(dataset.image_size) if stem_stride is None else stem_stride
    chosen = select_steps(road(size, stem_stride=stride), steps)

    places = [(seed, step) for seed in range(seeds) for step in chosen]  # a walk that is stopped has every step once
    runs = [
        _plan(walk, step, seed, dataset) for seed, step in progress.track(places, "counting operations", len(places))
    ]
    todo = [run for run in runs if not _is_finished(run)]
    if workers is None:
        workers = min(usable_cores(), _MOST_WORKERS) if size == "nano" and device.type == "cpu" else 1
    if len(todo) < len(runs):
        progress.say(f"{len(runs) - len(todo)} of {len(runs)} runs are finished in {folder}; going on with the rest")

    train = functools.partial(_train, workers=workers)
    for outcome in run_all(todo, train, workers=workers, title="walking the road"):
        if outcome.error is not None:
            _record_failure(outcome.job, outcome.error)
            progress.say(f"step {outcome.job.step.row} ({outcome.job.name}) failed: {outcome.error}")

    records = [
        read_record(run.folder / RECORD_NAME) for run in sorted(runs, key=lambda run: (run.step.order, run.seed))
    ]
    write_report(read_records(walk.folder), walk.folder)  # with the steps of earlier walks in this folder
    return records


def classic_recipe(recipe: Recipe) -> Recipe:
    """The recipe of ResNet's time, as long and with the same batch and augmentation in space as a modern one.

    SGD, a tenth of the learning rate after each third, no label smoothing, no mixing, no erasing, no drop path. The
    learning rate is 0.1 for a batch of 256 and follows the square root of the batch: in proportion to it (Goyal et al.
    2017), a short walk with small batches would end before the network has learned anything (docs/log.md).
    """
    space = recipe.augmentation
    return get_recipe("classic").replace(
        epochs=recipe.schedule.epochs,
        batch_size=recipe.batch_size,
        lr=0.1 * math.sqrt(recipe.batch_size / 256),
        precision=recipe.precision,
        flip=space.flip,
        shift=space.shift,
        crop_scale=space.crop_scale,
    )


def _plan(walk: Walk, step: Step, seed: int, dataset: ImageDataset) -> WalkRun:
    recipe = classic_recipe(walk.recipe) if step.classic_recipe else walk.recipe
    spec = NetworkSpec.of_design(step.title, step.design)
    counts = _counts(step.design, len(dataset.classes), dataset.image_size)
    # the paper has no nano size: its decisions stand beside those of the paper's smallest
    published = road("tiny")[step.order] if walk.size == "nano" else step
    study = {
        "study": "roadmap",
        "size": walk.size,
        "row": step.row,
        "order": step.order,
        "step": step.name,
        "title": step.title,
        "change": step.change,
        "side_step": step.side_step,
        "params": counts.params,
        "macs": counts.macs,
        "published_top1": published.published_top1,
        "published_of": "ResNet-200 to ConvNeXt-B" if walk.size == "base" else "ResNet-50 to ConvNeXt-T",
    }
    settings = classifier_settings(spec, dataset, recipe, seed, study)
    return WalkRun(walk, step, seed, spec, recipe, study, settings)


@functools.cache
def _counts(design: Design, num_classes: int, image_size: int) -> Counts:
    with torch.device("meta"):
        return count(build(design, num_classes), image_size)


def _is_finished(run: WalkRun) -> bool:
    """Whether an earlier walk finished this run in its folder.

    Raises:
        InputError: the folder holds a run of this step with other settings.
    """
    path = run.folder / RECORD_NAME
    if not path.exists():
        return False
    record = read_record(path)
    if record.error is not None:
        return False
    different = differences(run_identity(record.settings), run_identity(run.settings))
    if different:
        raise InputError(
            f"{path} is of a walk with other settings ({different[0]}); give another --out, or remove that folder"
        )
    return True


def _train(run: WalkRun, should_stop: Callable[[], bool], *, workers: int) -> None:
    """One run of the walk; its record says the rest."""
    train_classifier(
        run.spec,
        _opened(run.walk.data, run.walk.image_size, run.walk.skip_unreadable),
        run.recipe,
        seed=run.seed,
        folder=run.folder,
        device=torch.device(run.walk.device),
        study=run.study,
        workers=workers,
        should_stop=should_stop,
    )


def _record_failure(run: WalkRun, error: str) -> None:
    circumstances = environment(describe_device(torch.device(run.walk.device)))
    del circumstances["device"]  # ours: the run may have had another number of threads
    failed = Record("train", run.name, run.settings, metrics={}, environment=circumstances, error=error)
    failed.write(run.folder / RECORD_NAME)


@functools.lru_cache(maxsize=1)
def _opened(data: str, image_size: int | None, skip_unreadable: bool) -> ImageDataset:
    """A data set, opened once a process."""
    return open_dataset(data, image_size=image_size, skip_unreadable=skip_unreadable)
