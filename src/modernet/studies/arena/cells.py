"""One run of a cell of the arena's table: planned, pre-trained, trained."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from modernet import progress
from modernet.catalogue import ARENA_TASKS
from modernet.counting.parameters import count_parameters
from modernet.data.sequences.dataset import SequenceDataset
from modernet.data.sequences.opening import open_sequences
from modernet.errors import InputError
from modernet.recipes import SequencePretrainingRecipe, SequenceRecipe
from modernet.records import NETWORK_NAME
from modernet.report import ArenaPlace
from modernet.studies.arena.request import ArenaRequest
from modernet.studies.running.machines import Resources
from modernet.tasks.sequence_pretraining import pretrain_sequences
from modernet.tasks.sequence_runs import sequence_settings, with_inputs
from modernet.tasks.sequences import train_sequences
from modernet.weights import NetworkSpec, StartingWeights, weights_of_run


@dataclass(frozen=True)
class CellRun:
    """One training of a cell, or the pre-training before it."""

    data: str
    """As `open_sequences` takes it."""
    title: str
    """Of the task."""
    folder: Path
    spec: NetworkSpec
    recipe: SequenceRecipe
    seed: int
    start: Path | None
    """Folder of the pre-training that it goes on from."""
    place: dict[str, Any]
    """The settings that say where in the table it belongs."""
    settings: dict[str, Any]
    params: int
    resources: Resources

    @property
    def name(self) -> str:
        """That of its model, which its progress bar has too."""
        return self.spec.name

    @property
    def label(self) -> str:
        """Its name in messages."""
        what = "pre-training of " if isinstance(self.recipe, SequencePretrainingRecipe) else ""
        return f"{what}{self.name} on {self.title}, seed {self.seed}"

    @property
    def cost(self) -> float:
        """The number of steps of sequences that training shows to the network."""
        data = self.settings["data"]
        return float(self.recipe.schedule.epochs * data["n_train"] * data["median_length"])

    @property
    def steps(self) -> int:
        """The number of optimizer steps."""
        per_epoch: int = math.ceil(self.settings["data"]["n_train"] / self.recipe.batch_size)
        return self.recipe.schedule.epochs * per_epoch

    def network_cost(self) -> dict[str, int]:
        """Return the number of parameters."""
        return {"params": self.params}


_GENERATED = ("listops", "pathfinder", "pathx")
"""Tasks that take time to open: they come last, so that a missing folder is reported first."""

Stage = Literal["alone", "pretraining", "fine_tuning"]
"""Training from random weights; the pre-training of a cell; and its training from there."""


def plan_cells(request: ArenaRequest, stage: Stage, folder: Path, resources: Resources) -> list[CellRun]:
    """Plan the runs of all cells; those of a task stand together.

    Fine-tunings are planned once their pre-trainings have ended; without one that has finished there is none.

    Raises:
        InputError: data cannot be opened, or a model does not suit them.
    """
    pretraining = None if stage == "alone" else request.self_pretrain
    data = request.data()
    planned: dict[str, list[CellRun]] = {task: [] for task in data}
    for task in progress.track(sorted(data, key=_GENERATED.__contains__), "opening data", len(data)):
        try:
            dataset = open_data(data[task])
        except InputError as error:
            hint = "" if ":" in data[task] else f"; the arena takes a folder as --tasks {task}:FOLDER"
            raise InputError(f"{task} cannot be opened: {error}{hint}") from error
        place = ArenaPlace(request.size, request.rules(), task, pretraining)
        for model in dict.fromkeys(request.models):
            recipe = (request.pretraining_of if stage == "pretraining" else request.recipe_of)(task, model)
            spec = with_inputs(NetworkSpec("sequence", model, request.network_fields(pretraining)), dataset)
            params = count_parameters(functools.partial(spec.build, len(dataset.classes)))
            for seed in range(request.seeds):
                where = folder / task / (f"{model}-{pretraining}" if pretraining else model) / f"seed-{seed}"
                before = where.with_name(f"{where.name}-pretraining")
                start = _finished(before) if stage == "fine_tuning" else None
                if stage == "fine_tuning" and start is None:
                    continue
                settings = sequence_settings(spec, dataset, recipe, seed, start=start, study=place.to_settings())
                planned[task].append(
                    CellRun(
                        data[task],
                        ARENA_TASKS[task],
                        before if stage == "pretraining" else where,
                        spec,
                        recipe,
                        seed,
                        None if start is None else before,
                        place.to_settings(),
                        {**settings, "task": recipe.task},
                        params,
                        resources,
                    )
                )
    return [run for runs in planned.values() for run in runs]


def train_cell(run: CellRun, should_stop: Callable[[], bool]) -> None:
    """Train a network, or pre-train it; its folder gets the record.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    options: dict[str, Any] = {
        "seed": run.seed,
        "study": run.place,
        "folder": run.folder,
        "device": run.resources.device,
        "workers": run.resources.concurrent_runs,
        "should_stop": should_stop,
    }
    dataset = open_data(run.data)
    if isinstance(run.recipe, SequencePretrainingRecipe):
        pretrain_sequences(run.spec, dataset, run.recipe, **options)
    else:
        start = None if run.start is None else weights_of_run(run.start)
        train_sequences(run.spec, dataset, run.recipe, start=start, **options)


@functools.lru_cache(maxsize=1)
def open_data(data: str) -> SequenceDataset:
    """Open a data set, and keep it for the next run in this process."""
    return open_sequences(data)


def _finished(folder: Path) -> StartingWeights | None:
    """Return the weights of a finished pre-training; None if it failed."""
    return weights_of_run(folder) if (folder / NETWORK_NAME).exists() else None
