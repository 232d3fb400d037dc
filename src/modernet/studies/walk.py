"""Walking the road from ResNet to ConvNeXt: every step trained on the same images under one recipe."""

from __future__ import annotations

import math
import os

import torch

from modernet import progress
from modernet.recipes import ClassificationRecipe, Recipe, for_classification, get_recipe
from modernet.records import Record
from modernet.report import RoadPlace
from modernet.roadmap import Step, default_stem_stride, road, select_steps
from modernet.studies.runs import Run, Study, finish_runs


def walk_road(
    data: str = "digit_scenes",
    *,
    size: str = "nano",
    steps: str = "0-13",
    seeds: int = 3,
    recipe: Recipe | None = None,
    stem_stride: int | None = None,
    skip_unreadable: bool = False,
    workers: int | None = None,
    device: torch.device | None = None,
    cluster: str | None = None,
    run_cpus: int | None = None,
    run_gpus: float | None = None,
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
        recipe: of every step but 0, which has the recipe of ResNet's time, with the same images, epochs, batch and
            augmentation in space; None is the `default_recipe` of the data.
        stem_stride: of every network; None goes by the size of the images.
        skip_unreadable: leave out images that cannot be read, instead of stopping.
        workers: processes side by side; None is one for each core, at most 8, for `nano` on a CPU, and else 1.
        device: where to train; None is this machine's accelerator if it has one, on a cluster a GPU if a run gets one.
        cluster: train on the machines of a Ray cluster: `"auto"` is the one that this machine belongs to, or one of
            this machine alone; `"HOST:PORT"` that of a head node. `folder` is on a file system that all of them share,
            and so is `data` if it is a path.
        run_cpus: cores, and threads, of a run on the cluster; None is 1 for `nano` on a CPU, and else this machine's
            cores, shared by its GPUs.
        run_gpus: GPUs of a run on the cluster, such as 0.5; None is 1 if this machine has one.

    Returns:
        The records of the steps asked for, those of failed runs included, in the order of steps and seeds.

    Raises:
        InputError: an argument is out of range, the images or the cluster cannot be used, or `folder` holds another
            walk.
        Interrupted: Ctrl-C; the same call goes on.
    """
    select_steps(road(size), steps)  # a wrong name is said before images are read
    study = Study.begin(
        data,
        size=size,
        seeds=seeds,
        recipe=recipe,
        skip_unreadable=skip_unreadable,
        workers=workers,
        device=device,
        cluster=cluster,
        run_cpus=run_cpus,
        run_gpus=run_gpus,
        folder=folder,
    )
    stride = default_stem_stride(study.images().image_size) if stem_stride is None else stem_stride
    chosen = select_steps(road(size, stem_stride=stride), steps)
    places = [(seed, step) for seed in range(seeds) for step in chosen]  # a walk that is stopped has every step once
    runs = [_plan(study, step, seed) for seed, step in progress.track(places, "counting operations", len(places))]
    records = finish_runs(study, runs, "walking the road")
    return sorted(records, key=lambda record: (record.settings["order"], record.settings["seed"]))


def classic_recipe(recipe: ClassificationRecipe) -> ClassificationRecipe:
    """The recipe of ResNet's time, as long and with the same images, batch and augmentation in space as a modern one.

    SGD, a tenth of the learning rate after each third, no label smoothing, no mixing, no erasing, no drop path. The
    learning rate is 0.1 for a batch of 256 and follows the square root of the batch: in proportion to it (Goyal et al.
    2017), a short walk with small batches would end before the network has learned anything (docs/log.md).
    """
    images, space = recipe.images, recipe.augmentation
    return for_classification(get_recipe("classic")).replace(
        epochs=recipe.schedule.epochs,
        batch_size=recipe.batch_size,
        lr=0.1 * math.sqrt(recipe.batch_size / 256),
        precision=recipe.precision,
        image_size=images.image_size,
        test_size=images.test_size,
        test_crop=images.test_crop,
        interpolation=images.interpolation,
        flip=space.flip,
        shift=space.shift,
        crop_scale=space.crop_scale,
    )


def _plan(study: Study, step: Step, seed: int) -> Run:
    recipe = classic_recipe(study.recipe) if step.classic_recipe else study.recipe
    # the paper has no nano size: its decisions stand beside those of the paper's smallest
    published = road("tiny")[step.order] if study.size == "nano" else step
    place = RoadPlace(
        size=study.size,
        row=step.row,
        order=step.order,
        step=step.name,
        title=step.title,
        change=step.change,
        side_step=step.side_step,
        published_top1=published.published_top1,
        published_of="ResNet-200 to ConvNeXt-B" if study.size == "base" else "ResNet-50 to ConvNeXt-T",
    )
    folder = f"{step.order:02d}-{step.name}"
    return Run.of_design(study, folder, step.title, step.design, recipe, seed, place.to_settings())
