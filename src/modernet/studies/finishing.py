"""Finish the runs of a study, whatever their task: skip those that are finished, record failures, report on all."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from modernet import progress
from modernet.errors import InputError
from modernet.files.atomic import check_writable
from modernet.recipes import Recipe, short_average
from modernet.records import RECORD_NAME, Record, environment, read_record, read_records
from modernet.report import write_report
from modernet.report.drawing.png import warm_up
from modernet.studies.running.jobs import Job, Work
from modernet.studies.running.machines import Resources
from modernet.studies.running.runner import run_all
from modernet.training import checkpoint_identity, differences, run_identity


class PlannedRun(Job, Protocol):
    """One training of a study."""

    @property
    def label(self) -> str:
        """Its name in messages."""

    @property
    def folder(self) -> Path:
        """Where its record and weights go."""

    @property
    def recipe(self) -> Recipe:
        """How it trains."""

    @property
    def seed(self) -> int:
        """Of the run."""

    @property
    def steps(self) -> int:
        """The number of optimizer steps."""

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of its record, but for the network's cost; a finished record of their identity is this run."""

    def network_cost(self) -> dict[str, int]:
        """Return the settings that say what the network costs."""


P = TypeVar("P", bound=PlannedRun)


def check_folder(folder: Path) -> None:
    """Check, before long work, that a study can write to its folder, and report on what is in it already.

    Raises:
        InputError: it cannot be created or written to, or has a record that cannot be read.
    """
    check_writable(folder)
    for path in folder.rglob(RECORD_NAME):
        read_record(path)


def train_unfinished(folder: Path, resources: Resources, runs: Sequence[P], title: str, train: Work[P, None]) -> None:
    """Train the runs that are not finished yet.

    All networks are trained with seed 0 before any is with seed 1, so an interrupted study has each network once. A
    failed run leaves a record with its error, and the others continue.

    Args:
        folder: the study's, for messages.
        title: label of the whole in the progress display.
        train: trains one run; a module-level function, since worker processes import it.

    Raises:
        InputError: the folder contains a run with other settings, or the cluster cannot be used.
        Interrupted: Ctrl-C; the same call resumes.
    """
    unfinished = [run for run in runs if not is_finished(run)]
    if len(unfinished) < len(runs):
        others = "; training the others" if unfinished else ""
        progress.say(f"{title}: {len(runs) - len(unfinished)} of {len(runs)} runs in {folder} are finished{others}")
    unfinished.sort(key=lambda run: run.seed)
    for warning in dict.fromkeys(short_average(run.recipe, run.steps) for run in unfinished):
        if warning is not None:
            progress.say(warning)
    if unfinished and resources.concurrent_runs > 1:
        threading.Thread(target=warm_up).start()  # during the training, so that the report is written at once
    for outcome in run_all(unfinished, train, workers=resources.workers, title=title, cluster=resources.cluster):
        if outcome.error is not None:
            _record_failure(outcome.job, outcome.error)
            progress.say(f"{outcome.job.label} failed: {outcome.error}")


def report_on(folder: Path, runs: Sequence[P]) -> list[Record]:
    """Write the report on everything in a study's folder, also of earlier studies, and return the records of the runs.

    Returns:
        The records in the order of `runs`.
    """
    records = [read_record(run.folder / RECORD_NAME) for run in runs]
    write_report(read_records(folder), folder)
    return records


def is_finished(run: PlannedRun) -> bool:
    """Return whether the folder of a run contains its record, without an error.

    Raises:
        InputError: the folder contains a run with other settings, finished or not.
    """
    path = run.folder / RECORD_NAME
    record = read_record(path) if path.exists() else None
    if record is not None and record.error is None:
        _check_same(path, run_identity(record.settings), run)
        return True
    begun = checkpoint_identity(run.folder)
    if begun is not None:
        _check_same(run.folder, begun, run)
    return False


def _check_same(path: Path, found: Mapping[str, Any], run: PlannedRun) -> None:
    different = differences(found, run_identity(run.settings))
    if different:
        raise InputError(
            f"{path} belongs to a study with other settings ({different[0]}); give another --out, or remove that folder"
        )


def _record_failure(run: PlannedRun, error: str) -> None:
    circumstances = environment("")
    del circumstances["device"]  # the run may have used another machine, and this one may not have such a device
    settings = run.settings | run.network_cost()
    failed = Record("train", run.name, settings, metrics={}, environment=circumstances, error=error)
    failed.write(run.folder / RECORD_NAME)
