"""What every study does: train networks on the same images, each run in a folder of its own, and report on all."""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet.counting import check_image_size
from modernet.data import DATASET_NAMES, ImageDataset, open_dataset
from modernet.data.sources.tar import expand_braces
from modernet.errors import InputError
from modernet.preparation import Interpolation
from modernet.recipes import ClassificationRecipe, Recipe, default_recipe, for_classification, get_recipe
from modernet.records import Record
from modernet.studies.finishing import check_folder, report_on, train_unfinished
from modernet.studies.running.jobs import Work
from modernet.studies.running.machines import Machines, Resources
from modernet.studies.running.processes import prepare_workers
from modernet.tasks import train_classifier
from modernet.tasks.classification import build_network, classifier_settings
from modernet.tasks.images import network_cost
from modernet.weights import NetworkSpec


@dataclass(frozen=True)
class Study:
    """What all runs of a study share."""

    data: str
    seeds: int
    """Runs of each network, with seeds 0, 1, ..."""
    recipe: ClassificationRecipe
    skip_unreadable: bool
    folder: Path
    resources: Resources

    @staticmethod
    def begin(
        data: str,
        *,
        seeds: int,
        recipe: Recipe | None,
        skip_unreadable: bool,
        machines: Machines,
        one_core: bool,
        folder: str | os.PathLike[str],
    ) -> Study:
        """Check the arguments of a study before images are read, and fill in the defaults.

        Args:
            one_core: whether a CPU trains these networks fastest with one thread each, because they are small.

        Raises:
            InputError: an argument is out of range, `folder` cannot be written to, or the recipe is not a classifier's.
        """
        if seeds < 1:
            raise InputError(f"seeds is {seeds}; give 1 or more")
        where = Path(folder)
        if machines.cluster is not None:  # a worker of the cluster has a working directory of its own
            where, data = where.resolve(), absolute_data(data)
        resources = machines.resources(where, one_core=one_core)
        chosen = for_classification(recipe or get_recipe(default_recipe(data)))
        check_folder(where)
        open_images.cache_clear()
        if resources.cluster is None and resources.workers > 1:
            prepare_workers()  # which import while images are read here
        return Study(data, seeds, chosen, skip_unreadable, where, resources)

    def images(self) -> ImageDataset:
        """Return the images; they are opened once per process."""
        images = self.recipe.images
        return open_images(
            self.data, images.image_size, self.skip_unreadable, self.recipe.cuts_images, images.interpolation
        )


@dataclass(frozen=True)
class Run:
    """One training of a study: a network with a seed."""

    study: Study
    folder: Path
    """Where its record and weights go."""
    spec: NetworkSpec
    recipe: ClassificationRecipe
    seed: int
    place: dict[str, Any]
    """The settings that say where in the study it belongs."""
    settings: dict[str, Any]
    """The settings of its record, but for the network's cost; a finished record of the same identity is this run."""

    @property
    def name(self) -> str:
        """Its label."""
        return self.spec.name

    @property
    def label(self) -> str:
        """Its name in messages."""
        return self.name

    @property
    def cost(self) -> float:
        """The number of images that training shows to the network."""
        return float(self.recipe.schedule.epochs * self.settings["data"]["n_train"])

    @property
    def steps(self) -> int:
        """The number of optimizer steps."""
        per_epoch: int = math.ceil(self.settings["data"]["n_train"] / self.recipe.batch_size)
        return self.recipe.schedule.epochs * per_epoch

    def network_cost(self) -> dict[str, int]:
        """Return parameters and multiply-accumulates."""
        return network_cost(build_network, self.spec, self.study.images())


def plan_runs(
    study: Study, folder: str, spec: NetworkSpec, recipe: ClassificationRecipe, place: dict[str, Any]
) -> list[Run]:
    """Plan the runs of one network, one per seed.

    Args:
        folder: name of the network's folder in the study's.
        place: the settings that say where in the study the network belongs.

    Raises:
        InputError: the images are too small for the network.
    """
    dataset = study.images()
    with torch.device("meta"):
        check_image_size(spec.build(len(dataset.classes)), dataset.image_size)
    settings = classifier_settings(spec, dataset, recipe, seed=0, study=place)
    return [
        Run(
            study,
            study.folder / folder / f"seed-{seed}",
            spec,
            recipe,
            seed,
            place,
            {**settings, "seed": seed},
        )
        for seed in range(study.seeds)
    ]


def train_run(run: Run, should_stop: Callable[[], bool]) -> None:
    """Train one network; its folder gets the record.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    resources = run.study.resources
    train_classifier(
        run.spec,
        run.study.images(),
        run.recipe,
        seed=run.seed,
        folder=run.folder,
        device=resources.device,
        study=run.place,
        workers=resources.concurrent_runs,
        should_stop=should_stop,
    )


def finish_runs(study: Study, runs: Sequence[Run], title: str, train: Work[Run, None] = train_run) -> list[Record]:
    """Train the runs that are not finished yet, and report on everything in the study's folder.

    Returns:
        The records of the runs, in the order of `runs`.

    Raises:
        InputError, Interrupted: as `train_unfinished`.
    """
    train_unfinished(study.folder, study.resources, runs, title, train)
    return report_on(study.folder, runs)


@functools.lru_cache(maxsize=1)
def open_images(
    data: str, image_size: int | None, skip_unreadable: bool, whole_images: bool, interpolation: Interpolation
) -> ImageDataset:
    """Open a data set as `modernet train` does, and keep it for the next run in this process."""
    return open_dataset(
        data,
        image_size=image_size,
        skip_unreadable=skip_unreadable,
        whole_images=whole_images,
        interpolation=interpolation,
    )


def absolute_data(data: str) -> str:
    """Make a path of images absolute; names of data sets and URLs stay as they are."""
    first = Path(expand_braces(data)[0] if data.endswith(".tar") else data)
    if data in DATASET_NAMES or first.is_absolute() or not first.exists():
        return data
    return str(Path.cwd() / data)
