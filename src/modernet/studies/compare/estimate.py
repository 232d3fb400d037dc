"""What a comparison would train and for how long, from the first steps of each network."""

from __future__ import annotations

import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from modernet.catalogue.fields import check_several
from modernet.report.notation import plural
from modernet.studies.compare.budgets import calibrate, tuned_settings
from modernet.studies.compare.plan import make_plan
from modernet.studies.compare.request import CompareRequest
from modernet.studies.compare.speeds import training_speeds
from modernet.studies.running.machines import LOCAL, Machines
from modernet.training import stop_requested_by_signal
from modernet.training.watching.cost import duration


@dataclass(frozen=True)
class CandidateEstimate:
    """What a candidate would get.

    Attributes:
        candidate: its label.
        weights: name of the weights that it starts from; None for random ones.
        runs: final trainings.
        epochs: of each.
        trials: trainings to tune it.
        tuning_epochs: of each.
        images_per_second: of training; None if it cannot be trained.
        seconds: of all its trainings, one after the other.
        error: why it cannot be trained.
    """

    candidate: str
    weights: str | None
    runs: int = 0
    epochs: int = 0
    trials: int = 0
    tuning_epochs: int = 0
    images_per_second: float | None = None
    seconds: float | None = None
    error: str | None = None

    def line(self) -> str:
        """Return it as text."""
        start = "" if self.weights is None else f" from {self.weights}"
        if self.seconds is None:
            return f"{self.candidate}{start}: cannot be trained: {self.error}"
        tuning = f", {plural(self.trials, 'trial')} x {plural(self.tuning_epochs, 'epoch')}" if self.trials else ""
        return (
            f"{self.candidate}{start}: {plural(self.runs, 'run')} x {plural(self.epochs, 'epoch')}{tuning}, "
            f"{duration(self.seconds / 3600)} at {self.images_per_second:.0f} images/s"
        )


@dataclass(frozen=True)
class Estimate:
    """What a comparison would train.

    Attributes:
        candidates: in the order of the request.
        at_once: how many runs share the machine.
    """

    candidates: tuple[CandidateEstimate, ...]
    at_once: int

    @property
    def seconds(self) -> float:
        """Of all trainings, so many at once."""
        return sum(each.seconds or 0.0 for each in self.candidates) / self.at_once

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-able object."""
        return {
            "at_once": self.at_once,
            "seconds": self.seconds,
            "candidates": [asdict(each) for each in self.candidates],
        }

    def lines(self) -> list[str]:
        """Return it as text, a line for each candidate, and the sum."""
        runs = sum(each.runs + each.trials for each in self.candidates)
        together = "one after the other" if self.at_once == 1 else f"{self.at_once} at once"
        return [
            *(each.line() for each in self.candidates),
            f"{plural(runs, 'training')}, {together}: about {duration(self.seconds / 3600)} by their first steps, "
            "without validation, test and measurements; Ctrl-C stops, and the same command continues",
        ]


def estimate_comparison(request: CompareRequest, *, machines: Machines = LOCAL) -> Estimate:
    """Return what `compare` would train and for how long, in a new folder.

    Raises:
        InputError: as `compare`.
        Interrupted: Ctrl-C.
    """
    trials = len(tuned_settings(request.recipe, request.tune)) if request.tune > 1 else 0
    check_several(request.candidates)
    plan = make_plan(request, machines, Path())
    n_train = plan.settings[plan.trainable[0].label]["data"]["n_train"]
    with stop_requested_by_signal() as stop, tempfile.TemporaryDirectory() as scratch:
        speeds, failed = training_speeds(plan.trainable, request, n_train, plan.resources, Path(scratch), stop)
    errors = {**plan.failed, **failed}
    calibration = calibrate(request, plan.settings, None, lambda: speeds)
    rows = []
    for candidate in plan.candidates:
        label, start = candidate.label, candidate.starts_from
        if label in errors:
            rows.append(CandidateEstimate(label, start, error=errors[label]))
            continue
        share = calibration.shares[label]
        epochs = request.seeds * share.epochs + trials * share.tuning_epochs
        seconds = epochs * n_train / speeds[label]
        rows.append(
            CandidateEstimate(
                label, start, request.seeds, share.epochs, trials, share.tuning_epochs, speeds[label], seconds
            )
        )
    return Estimate(tuple(rows), plan.resources.concurrent_runs)
