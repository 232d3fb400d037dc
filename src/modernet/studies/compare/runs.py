"""One training of a comparison: what it will be, found out without training, and then done."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from modernet.recipes import Recipe
from modernet.records import Record
from modernet.studies.compare.candidates import Candidate
from modernet.studies.compare.request import CompareRequest
from modernet.studies.running.machines import Resources
from modernet.tasks import get_task


@dataclass(frozen=True)
class TrainingRun:
    """One training of a candidate, final or to tune it.

    Attributes:
        candidate: what is trained.
        request: of the comparison.
        recipe: how it is trained, with its epochs.
        seed: of the run.
        folder: where its record and weights go.
        place: the settings that say where in the comparison it belongs.
        settings: those of its record, by which a finished run is recognised.
        resources: what it may use.
    """

    candidate: Candidate
    request: CompareRequest
    recipe: Recipe
    seed: int
    folder: Path
    place: dict[str, Any]
    settings: dict[str, Any]
    resources: Resources

    @property
    def name(self) -> str:
        """That of its network, which its progress bar has too."""
        return str(self.settings["model"])

    @property
    def label(self) -> str:
        """Its name in messages."""
        return f"{self.candidate.label}, {self.place['phase']}, seed {self.seed}"

    @property
    def cost(self) -> float:
        """The multiply-accumulates of its forward passes."""
        images = self.recipe.schedule.epochs * self.settings["data"]["n_train"]
        return float(images * self.settings["macs"])

    @property
    def steps(self) -> int:
        """The number of optimizer steps."""
        per_epoch: int = math.ceil(self.settings["data"]["n_train"] / self.recipe.batch_size)
        return self.recipe.schedule.epochs * per_epoch

    def network_cost(self) -> dict[str, int]:
        """Return parameters and multiply-accumulates."""
        return {name: self.settings[name] for name in ("params", "macs")}


def train_run(run: TrainingRun, should_stop: Callable[[], bool]) -> None:
    """Train a network; its folder gets the record.

    Raises:
        Interrupted: `should_stop` returned True.
    """
    prepare(run.candidate, run.request, run.recipe, run.seed)(
        folder=run.folder,
        device=run.resources.device,
        study=run.place,
        workers=run.resources.concurrent_runs,
        should_stop=should_stop,
    )


def prepare(candidate: Candidate, request: CompareRequest, recipe: Recipe, seed: int) -> Callable[..., Record]:
    """Open network, weights and data as `modernet train` does.

    Raises:
        InputError: the weights or the data cannot be opened.
    """
    asked = candidate.train_request(recipe, request.data, seed, request.skip_unreadable)
    return get_task(recipe.task).prepare(asked)


def settings_of(training: Callable[..., Record]) -> dict[str, Any]:
    """Return the settings that the record of a prepared training would have, as JSON has them, without training.

    Raises:
        InputError: the network does not take these images.
    """

    def stop(settings: Mapping[str, Any]) -> NoReturn:
        raise _Announced(settings)

    with tempfile.TemporaryDirectory() as folder:
        try:
            training(folder=Path(folder), announce=stop)
        except _Announced as announced:
            found: dict[str, Any] = json.loads(json.dumps(announced.settings))
            return found
    raise AssertionError("a training announces its settings")


class _Announced(Exception):
    """Ends a training before it begins."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__("the settings of the record")
        self.settings = settings
