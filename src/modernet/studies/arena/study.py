"""The Long Range Arena on this machine: every model on every task, and the table of the results."""

from __future__ import annotations

import os
from pathlib import Path

from modernet import progress
from modernet.records import Record
from modernet.studies.arena.cells import open_data, plan_cells, train_cell
from modernet.studies.arena.estimate import Estimate, estimate_runs
from modernet.studies.arena.request import ArenaRequest
from modernet.studies.finishing import check_folder, is_finished, report_on, train_unfinished
from modernet.studies.running.machines import LOCAL, Machines, Resources
from modernet.studies.running.processes import prepare_workers

_TITLES = {"alone": "training", "pretraining": "pre-training", "fine_tuning": "training after pre-training"}


def run_arena(request: ArenaRequest, *, machines: Machines = LOCAL, folder: str | os.PathLike[str]) -> list[Record]:
    """Train the cells of the table, and report on them.

    Runs that are finished in `folder` are skipped, and unfinished ones resume from their checkpoints. A failed run is
    reported, and the others continue. The folder gets a record per run, `arena.png` and `report.html`. At published
    size it says first what it will train and for how long.

    Args:
        request: models, tasks and how they are trained.
        machines: where to train, and how many runs at once; one core trains `nano` fastest.

    Returns:
        The records of the cells, and of pre-trainings, including failed runs.

    Raises:
        InputError: data cannot be opened, a model does not suit them, or `folder` contains other runs of these names or
            a broken record.
        Interrupted: Ctrl-C; the same call resumes.
    """
    where = Path(folder).resolve() if machines.cluster is not None else Path(folder)
    resources = _resources(request, machines, where)
    check_folder(where)
    open_data.cache_clear()
    if resources.cluster is None and resources.workers > 1:
        prepare_workers()  # which import while data are opened here
    if request.size == "published":
        progress.say(f"{request.summary()}; first their data are generated or read")
    runs = plan_cells(request, "alone", where, resources)
    unfinished = [run for run in runs if not is_finished(run)]
    if request.size == "published" and unfinished:
        for line in estimate_runs(request, unfinished).lines():
            progress.say(line)
    train_unfinished(where, resources, runs, _TITLES["alone"], train_cell)
    if request.self_pretrain is not None:
        for stage in ("pretraining", "fine_tuning"):
            later = plan_cells(request, stage, where, resources)
            train_unfinished(where, resources, later, _TITLES[stage], train_cell)
            runs += later
    return report_on(where, runs)


def estimate_arena(request: ArenaRequest, *, machines: Machines = LOCAL) -> Estimate:
    """Return what `run_arena` would train and for how long, from the first steps of each network.

    Raises:
        InputError: data cannot be opened, or a model does not suit them.
        Interrupted: Ctrl-C.
    """
    resources = _resources(request, machines, Path())
    return estimate_runs(request, plan_cells(request, "alone", Path(), resources))


def _resources(request: ArenaRequest, machines: Machines, folder: Path) -> Resources:
    return machines.resources(folder, one_core=request.size == "nano")
