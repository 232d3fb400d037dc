"""One training of a round, and what its network answers for the validation images."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from modernet.data import make_loader
from modernet.evaluation.judging import judge_classifier
from modernet.files.atomic import whole_file
from modernet.recipes import ClassificationRecipe, Recipe
from modernet.records import RECORD_NAME, read_record
from modernet.report.advise.advice import Trial
from modernet.studies.compare.candidates import Candidate
from modernet.studies.running.machines import Resources
from modernet.tasks import get_task, load_network
from modernet.tasks.images import open_request
from modernet.training import Interrupted

TRIAL_NAME = "trial.json"
OUT_OF_TIME = "the time was over"


@dataclass(frozen=True)
class RoundRun:
    """One training of a candidate in a round.

    Attributes:
        candidate: what is trained.
        data, skip_unreadable: as of `AdviseRequest`.
        recipe: how it is trained, with the epochs of the round.
        round: from 0.
        seed: of the run.
        folder: where its record and weights go.
        seconds: planned for it.
        until: time, in seconds since 1970, at which it is given up.
        resources: what it may use.
    """

    candidate: Candidate
    data: str
    skip_unreadable: bool
    recipe: Recipe
    round: int
    seed: int
    folder: Path
    seconds: float
    until: float
    resources: Resources

    @property
    def name(self) -> str:
        """That of its network, which its progress bar has too."""
        return self.candidate.model.partition(".")[0]

    @property
    def cost(self) -> float:
        """The planned seconds."""
        return self.seconds

    def failed(self, error: str) -> Trial:
        """Return it as a training that failed."""
        return Trial(self.round, self.seed, self.recipe.schedule.epochs, None, 0, 0.0, error=error)


def train(run: RoundRun, should_stop: Callable[[], bool]) -> Trial:
    """Train a network and note its answers; both are kept in its folder, and the second time only returned.

    Raises:
        Interrupted: `should_stop` returned True; the same call resumes from the checkpoint.
    """
    found = read_trial(run.folder)
    if found is not None:
        return found
    begin = time.monotonic()
    asked = run.candidate.train_request(run.recipe, run.data, run.seed, run.skip_unreadable)
    place = {"study": "advise", "candidate": run.candidate.label, "round": run.round}
    try:
        get_task(run.recipe.task).prepare(asked)(
            folder=run.folder,
            device=run.resources.device,
            study=place,
            workers=run.resources.concurrent_runs,
            should_stop=lambda: should_stop() or time.time() > run.until,
        )
    except Interrupted:
        if should_stop():
            raise
        return run.failed(OUT_OF_TIME)
    record = read_record(run.folder / RECORD_NAME)
    right = _answers(run) if isinstance(run.recipe, ClassificationRecipe) else ""
    score = 100 * right.count("1") / len(right) if right else record.score("validation")
    n = int(record.metrics.get("validation_n", record.settings["data"]["n_validation"]))
    seconds = max(time.monotonic() - begin, float(record.metrics["seconds"]))
    trial = Trial(run.round, run.seed, run.recipe.schedule.epochs, score, len(right) or n, seconds, right)
    with whole_file(run.folder / TRIAL_NAME) as unfinished:
        unfinished.write_text(json.dumps(vars(trial)) + "\n", encoding="utf-8")
    return trial


def read_trial(folder: Path) -> Trial | None:
    """Return what a finished training left in its folder; None if it has not finished."""
    if not (folder / TRIAL_NAME).exists():
        return None
    fields: dict[str, Any] = json.loads((folder / TRIAL_NAME).read_text(encoding="utf-8"))
    return Trial(**fields)


def _answers(run: RoundRun) -> str:
    """Return which validation images the trained network answers right, as `Trial.right`."""
    saved = load_network(run.folder)
    assert isinstance(run.recipe, ClassificationRecipe), "only classifiers are right or wrong"
    asked = run.candidate.train_request(run.recipe, run.data, run.seed, run.skip_unreadable)
    dataset = open_request(asked, run.recipe, "classes").dataset
    device = run.resources.device
    loader = make_loader(
        dataset, dataset.validation, batch_size=128, device=device, augmentation=None, preparation=saved.preparation
    )
    network = saved.network.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    judged = judge_classifier(network, loader, "validating")
    return "".join("1" if rank == 0 else "0" for rank in judged.ranks.tolist())
