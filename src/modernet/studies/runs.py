"""What the studies of the road share: trainings of designs on the same images, each left in a folder of its own."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet import progress
from modernet.data import DATASET_NAMES, ImageDataset, open_dataset
from modernet.data.images.views import Interpolation
from modernet.data.sources.tar import expand_braces
from modernet.errors import InputError
from modernet.files.atomic import check_writable
from modernet.machine.cores import usable_cores
from modernet.recipes import ClassificationRecipe, Recipe, default_recipe, for_classification, get_recipe
from modernet.records import RECORD_NAME, Record, environment, read_record, read_records
from modernet.report import write_report
from modernet.roadmap import Design
from modernet.studies.running.cluster import Cluster
from modernet.studies.running.runner import run_all
from modernet.tasks import train_classifier
from modernet.tasks.classification import classifier_settings
from modernet.training import choose_device, differences, run_identity
from modernet.weights import NetworkSpec

_MOST_WORKERS = 8  # each holds its own copy of torch and of the images


@dataclass(frozen=True)
class Study:
    """What all runs of a study share, as it was asked for."""

    data: str
    size: str
    recipe: ClassificationRecipe
    skip_unreadable: bool
    device: str
    folder: Path
    workers: int
    """Processes side by side; without meaning on a cluster."""
    cluster: Cluster | None

    @staticmethod
    def begin(
        data: str,
        *,
        size: str,
        seeds: int,
        recipe: Recipe | None,
        skip_unreadable: bool,
        workers: int | None,
        device: torch.device | None,
        cluster: str | None,
        run_cpus: int | None,
        run_gpus: float | None,
        folder: str | os.PathLike[str],
    ) -> Study:
        """Check the arguments of a study, before images are read, and choose what was left open.

        Raises:
            InputError: an argument is out of range, contradicts another one, or `folder` cannot be written to.
        """
        if seeds < 1:
            raise InputError(f"seeds is {seeds}; give 1 or more")
        if workers is not None and workers < 1:
            raise InputError(f"workers is {workers}; give 1 or more")
        if cluster is None and (run_cpus is not None or run_gpus is not None):
            raise InputError(
                "--run-cpus and --run-gpus are of runs on a cluster; give --cluster auto, or leave them out"
            )
        if cluster is not None and workers is not None:
            raise InputError(
                "--workers is of runs on this machine alone; on a cluster give --run-cpus, or leave it out"
            )
        machines, where = None, Path(folder)
        if cluster is not None:
            gpus = float(torch.cuda.is_available()) if run_gpus is None else run_gpus
            device = device or torch.device("cuda" if gpus else "cpu")
            cpus = _cpus_of_a_run(size, device) if run_cpus is None else run_cpus
            where = where.resolve()  # a task has a working directory of its own
            data = _from_anywhere(data)
            machines = Cluster(cluster, where, cpus, gpus)
        device = device or choose_device()
        if workers is None:
            workers = min(usable_cores(), _MOST_WORKERS) if size == "nano" and device.type == "cpu" else 1
        chosen = for_classification(recipe or get_recipe(default_recipe(data)))
        check_writable(where)
        _opened.cache_clear()
        return Study(data, size, chosen, skip_unreadable, str(device), where, workers, machines)

    def images(self) -> ImageDataset:
        """The images; opened once a process."""
        images = self.recipe.images
        return _opened(
            self.data, images.image_size, self.skip_unreadable, self.recipe.cuts_images, images.interpolation
        )


@dataclass(frozen=True)
class Run:
    """One training of a study: a design with a seed."""

    study: Study
    folder: Path
    """Where its record and weights go."""
    spec: NetworkSpec
    recipe: ClassificationRecipe
    seed: int
    words: dict[str, Any]
    """What the record's settings say of its place in the study."""
    settings: dict[str, Any]
    """What the record will say was run; an earlier record of the same is this run, finished."""

    @staticmethod
    def of_design(
        study: Study,
        place: str,
        name: str,
        design: Design,
        recipe: ClassificationRecipe,
        seed: int,
        words: dict[str, Any],
    ) -> Run:
        """The training of a design; `place` is its folder's name, and `words` say where it belongs in the study.

        Raises:
            InputError: the images are too small for the network.
        """
        dataset = study.images()
        spec = NetworkSpec.of_design(name, design)
        settings = classifier_settings(spec, dataset, recipe, seed, words)
        return Run(study, study.folder / place / f"seed-{seed}", spec, recipe, seed, words, settings)

    @property
    def name(self) -> str:
        """What is trained, in words."""
        return self.spec.name

    @property
    def cost(self) -> float:
        """Images that training shows to the network."""
        return float(self.recipe.schedule.epochs * self.settings["data"]["n_train"])


def finish_runs(study: Study, runs: Sequence[Run], title: str) -> list[Record]:
    """Train what is not finished yet, and report on all that the study's folder holds.

    A run that fails leaves a record that says why, while the rest goes on.

    Args:
        title: what to call the whole in the display of progress.

    Returns:
        The records of the runs, in their order.

    Raises:
        InputError: the folder holds a run of other settings, or the cluster cannot be used.
        Interrupted: Ctrl-C; the same call goes on.
    """
    todo = [run for run in runs if not _is_finished(run)]
    if len(todo) < len(runs):
        progress.say(
            f"{len(runs) - len(todo)} of {len(runs)} runs are finished in {study.folder}; going on with the rest"
        )
    for outcome in run_all(todo, _train, workers=study.workers, title=title, cluster=study.cluster):
        if outcome.error is not None:
            _record_failure(outcome.job, outcome.error)
            progress.say(f"{outcome.job.name} failed: {outcome.error}")
    records = [read_record(run.folder / RECORD_NAME) for run in runs]
    write_report(read_records(study.folder), study.folder)  # with what earlier studies left in this folder
    return records


def _from_anywhere(data: str) -> str:
    """What is found under the same name from any working directory: names and addresses are, a path becomes whole."""
    first = Path(expand_braces(data)[0] if data.endswith(".tar") else data)
    if data in DATASET_NAMES or first.is_absolute() or not first.exists():
        return data
    return str(Path.cwd() / data)


def _cpus_of_a_run(size: str, device: torch.device) -> int:
    """One for networks of the nano size, which more threads make slower; else this machine's, shared by its GPUs."""
    if device.type == "cpu":
        return 1 if size == "nano" else usable_cores()
    return max(1, usable_cores() // max(1, torch.cuda.device_count()))


def _is_finished(run: Run) -> bool:
    """Whether an earlier call finished this run in its folder.

    Raises:
        InputError: the folder holds a run in this place with other settings.
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
            f"{path} is of a study with other settings ({different[0]}); give another --out, or remove that folder"
        )
    return True


def _train(run: Run, should_stop: Callable[[], bool]) -> None:
    """One run; its record says the rest."""
    cluster = run.study.cluster
    train_classifier(
        run.spec,
        run.study.images(),
        run.recipe,
        seed=run.seed,
        folder=run.folder,
        device=torch.device(run.study.device),
        study=run.words,
        workers=run.study.workers if cluster is None else cluster.runs_beside(),
        should_stop=should_stop,
    )


def _record_failure(run: Run, error: str) -> None:
    circumstances = environment("")
    del circumstances["device"]  # this machine may have no such device, and the run another number of threads
    failed = Record("train", run.name, run.settings, metrics={}, environment=circumstances, error=error)
    failed.write(run.folder / RECORD_NAME)


@functools.lru_cache(maxsize=1)
def _opened(
    data: str,
    image_size: int | None,
    skip_unreadable: bool,
    whole_images: bool,
    interpolation: Interpolation,
) -> ImageDataset:
    """A data set, opened once a process, as `modernet train` opens it."""
    return open_dataset(
        data,
        image_size=image_size,
        skip_unreadable=skip_unreadable,
        whole_images=whole_images,
        interpolation=interpolation,
    )
