"""The walk along the road from ResNet to ConvNeXt: train every step on the same images with one recipe."""

from __future__ import annotations

import math
import os

from modernet import progress
from modernet.preparation import as_size
from modernet.recipes import ClassificationRecipe, Recipe, for_classification, get_recipe
from modernet.records import Record
from modernet.report import RoadPlace
from modernet.roadmap import Step, default_stem_stride, road, select_steps
from modernet.studies.running.machines import LOCAL, Machines
from modernet.studies.runs import Run, Study, finish_runs, plan_runs
from modernet.weights import NetworkSpec


def walk_road(
    data: str = "digit_scenes",
    *,
    size: str = "nano",
    steps: str = "0-13",
    seeds: int = 3,
    recipe: Recipe | None = None,
    stem_stride: int | None = None,
    skip_unreadable: bool = False,
    machines: Machines = LOCAL,
    folder: str | os.PathLike[str],
) -> list[Record]:
    """Train the steps of the road and report on them.

    Runs that are finished in `folder` are skipped, and unfinished ones resume from their checkpoints. A failed run is
    reported, and the others continue. The folder gets a record per run, `road.png` and `report.html`.

    Args:
        data: the images, as `open_dataset` takes them.
        size: `nano`, `tiny` (ResNet-50 to ConvNeXt-T) or `base` (ResNet-200 to ConvNeXt-B).
        steps: which steps: `"0-13"`, `"0,4,13"`, `"8a-8d"`, `"all"`.
        seeds: runs of each step, with seeds 0, 1, ...
        recipe: recipe of every step but 0, which uses `classic_recipe` of it. Default: the `default_recipe` of the
            data.
        stem_stride: stride of every stem. Default: `default_stem_stride` of the image size.
        skip_unreadable: leave out images that cannot be read, instead of stopping.
        machines: where to train, and how many runs at once; one core trains `nano` fastest.

    Returns:
        The records of the chosen steps, including failed runs, in the order of steps and seeds.

    Raises:
        InputError: an argument is out of range, the images or the cluster cannot be used, or `folder` contains
            another walk.
        Interrupted: Ctrl-C; the same call resumes.
    """
    select_steps(road(size), steps)  # reject a wrong name before images are read
    study = Study.begin(
        data,
        seeds=seeds,
        recipe=recipe,
        skip_unreadable=skip_unreadable,
        machines=machines,
        one_core=size == "nano",
        folder=folder,
    )
    stride = default_stem_stride(min(as_size(study.images().image_size))) if stem_stride is None else stem_stride
    chosen = select_steps(road(size, stem_stride=stride), steps)
    runs = [
        run for step in progress.track(chosen, "counting operations", len(chosen)) for run in _plan(study, size, step)
    ]
    return finish_runs(study, runs, "walking the road")


def classic_recipe(recipe: ClassificationRecipe) -> ClassificationRecipe:
    """Return the recipe of ResNet's time with the images, epochs, batch and spatial augmentation of a modern recipe.

    SGD, learning rate divided by 10 after each third, no label smoothing, mixing, erasing or drop path. The learning
    rate is 0.1 for a batch of 256 and scales with the square root of the batch: with linear scaling (Goyal et al.
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


def _plan(study: Study, size: str, step: Step) -> list[Run]:
    """Plan the runs of one step."""
    recipe = classic_recipe(study.recipe) if step.classic_recipe else study.recipe
    # the paper has no nano size, so its steps are compared with those of the paper's smallest
    published = road("tiny")[step.order] if size == "nano" else step
    place = RoadPlace(
        size=size,
        row=step.row,
        order=step.order,
        step=step.name,
        title=step.title,
        change=step.change,
        side_step=step.side_step,
        published_top1=published.published_top1,
        published_of="ResNet-200 to ConvNeXt-B" if size == "base" else "ResNet-50 to ConvNeXt-T",
    )
    folder = f"{step.order:02d}-{step.name}"
    return plan_runs(study, folder, NetworkSpec.of_design(step.title, step.design), recipe, place.to_settings())
