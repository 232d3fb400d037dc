"""Compare networks: plan, tune, train, measure, report."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from modernet import progress
from modernet.catalogue.fields import check_several
from modernet.files.atomic import check_writable
from modernet.machine.device import describe
from modernet.records import RECORD_NAME, Record, read_records
from modernet.report import write_report
from modernet.report.compare.compared import MEASURING, Measurement
from modernet.studies.compare.budgets import Calibration, calibrate, tuned_settings
from modernet.studies.compare.candidates import Candidate
from modernet.studies.compare.collecting import collect, record_of
from modernet.studies.compare.measuring import RunOutcomes, measure_costs, measure_run
from modernet.studies.compare.plan import Plan, make_plan
from modernet.studies.compare.request import CompareRequest
from modernet.studies.compare.runs import TrainingRun, train_run
from modernet.studies.compare.speeds import training_speeds
from modernet.studies.compare.tuning import NOT_TUNED, Tuned, choose
from modernet.studies.finishing import check_folder, train_unfinished
from modernet.studies.running.machines import LOCAL, Machines
from modernet.studies.running.runner import run_all
from modernet.tasks import get_task
from modernet.training import stop_requested_by_signal

Failures = dict[str, dict[str, str]]
"""Label -> what failed -> why."""


def compare(request: CompareRequest, *, machines: Machines = LOCAL, folder: str | os.PathLike[str]) -> list[Record]:
    """Train all candidates, measure them, and report on them.

    Runs that are finished in `folder` are skipped, and unfinished ones resume from their checkpoints; what was measured
    is not measured again. A candidate that does not take the images, or whose runs fail, such as for lack of memory, is
    reported, and the others continue. More seeds or candidates add to what is there.

    Args:
        request: what to compare, on which data.
        machines: where to train, and how many runs at once; small networks have a core each on a CPU.
        folder: gets a folder for each candidate with its record and its runs, `calibration.json`, `costs.json`, a chart
            and `report.html`.

    Returns:
        The record of each candidate, in the order of the request; its `error` says why it has no result.

    Raises:
        InputError: a name, the data or the folder cannot be used, the folder has another comparison, or no candidate
            can be trained.
        Interrupted: Ctrl-C; the same call goes on.
    """
    check_several(request.candidates)
    settings = tuned_settings(request.recipe, request.tune) if request.tune > 1 else []
    check_writable(Path(folder))
    before = Calibration.read(Path(folder), request)
    plan = make_plan(request, machines, Path(folder), () if before is None else before.fingerprints)
    check_folder(plan.folder)
    failed: Failures = {candidate.label: {} for candidate in plan.candidates}
    for label, why in plan.failed.items():
        failed[label]["these images"] = why
    calibration = _calibrate(plan, before, failed)
    calibration.write(plan.folder)
    for line in calibration.lines():
        progress.say(line)
    candidates = [each for each in plan.trainable if each.label in calibration.shares]
    tuned = _tune(plan, candidates, calibration, settings) if settings else {}
    runs = _train(plan, candidates, calibration, tuned, failed)
    outcomes = _measure_runs(plan, [run for own in runs.values() for run in own], failed)
    costs = _measure_costs(plan, runs)
    records = []
    for candidate in plan.candidates:
        label = candidate.label
        compared = collect(
            plan,
            candidate,
            calibration.shares.get(label),
            tuned.get(label, NOT_TUNED),
            runs.get(label, []),
            outcomes,
            costs.get(label, ()),
            failed[label],
        )
        device = describe(plan.resources.device, torch.get_num_threads())
        record = compared.to_record(get_task(request.recipe.task).metrics[0], device)
        record.write(plan.folder / candidate.folder / RECORD_NAME)
        records.append(record)
    write_report(read_records(plan.folder), plan.folder)
    return records


def _calibrate(plan: Plan, before: Calibration | None, failed: Failures) -> Calibration:
    def speeds() -> Mapping[str, float]:
        new = [each for each in plan.trainable if before is None or each.label not in before.shares]
        found, why = _speeds(plan, new)
        for label, reason in why.items():
            failed[label]["training"] = reason
            progress.say(f"{label} cannot be trained: {reason}")
        return found

    return calibrate(plan.request, plan.settings, before, speeds, plan.fingerprints)


def _speeds(plan: Plan, candidates: Sequence[Candidate]) -> tuple[dict[str, float], dict[str, str]]:
    n_train = plan.settings[plan.trainable[0].label]["data"]["n_train"]
    with stop_requested_by_signal() as stop:
        return training_speeds(candidates, plan.request, n_train, plan.resources, plan.folder, stop)


def _tune(
    plan: Plan, candidates: Sequence[Candidate], calibration: Calibration, settings: Sequence[Mapping[str, float]]
) -> dict[str, Tuned]:
    """Try the settings for each candidate, and choose one: by label."""
    runs = {
        each.label: [
            plan.tuning_run(each, calibration.shares[each.label], setting, trial)
            for trial, setting in enumerate(settings)
        ]
        for each in candidates
    }
    every = [run for own in runs.values() for run in own]
    train_unfinished(plan.folder, plan.resources, every, "tuning", train_run)
    tuned = {label: choose(settings, own) for label, own in runs.items()}
    for label, found in tuned.items():
        if not found.setting:
            progress.say(f"{label} is trained by the recipe as it is: no setting has a score on validation")
    return tuned


def _train(
    plan: Plan,
    candidates: Sequence[Candidate],
    calibration: Calibration,
    tuned: Mapping[str, Tuned],
    failed: Failures,
) -> dict[str, list[TrainingRun]]:
    """Train each candidate with each seed, and return the runs that are finished and have a score: by label."""
    runs = {
        each.label: plan.final_runs(each, calibration.shares[each.label], tuned.get(each.label, NOT_TUNED).setting)
        for each in candidates
    }
    every = [run for own in runs.values() for run in own]
    train_unfinished(plan.folder, plan.resources, every, "training", train_run)
    finished: dict[str, list[TrainingRun]] = {label: [] for label in runs}
    for label, own in runs.items():
        for run in own:
            record = record_of(run)
            if record.error is not None:
                failed[label][f"seed {run.seed}"] = record.error
            elif record.score("test") is None:
                failed[label][f"seed {run.seed}"] = f"{record.primary.title} is not defined on the test split"
            else:
                finished[label].append(run)
    return finished


@dataclass(frozen=True)
class _Measuring:
    """The measurement of one run."""

    run: TrainingRun

    @property
    def name(self) -> str:
        return f"measuring {self.run.name}"

    @property
    def folder(self) -> Path:
        return self.run.folder

    @property
    def cost(self) -> float:
        settings = self.run.settings
        return float(settings["macs"] * settings["data"]["n_test"])


def _measure(job: _Measuring, should_stop: Callable[[], bool]) -> RunOutcomes:
    return measure_run(job.run.folder, job.run.request, job.run.resources.device, should_stop)


def _measure_runs(plan: Plan, runs: Sequence[TrainingRun], failed: Failures) -> dict[Path, RunOutcomes]:
    """Measure the finished runs: by folder."""
    jobs = [_Measuring(run) for run in runs]
    found: dict[Path, RunOutcomes] = {}
    resources = plan.resources
    for outcome in run_all(jobs, _measure, workers=resources.workers, title="measuring", cluster=resources.cluster):
        run = outcome.job.run
        if outcome.result is not None:
            found[run.folder] = outcome.result
        else:
            failed[run.candidate.label][f"{MEASURING} seed {run.seed}"] = str(outcome.error)
            progress.say(f"{run.label} was not measured: {outcome.error}")
    return found


def _measure_costs(plan: Plan, runs: Mapping[str, Sequence[TrainingRun]]) -> dict[str, tuple[Measurement, ...]]:
    """Measure what the networks cost, one run of each candidate that has one: by label."""
    folders = {label: own[0].folder for label, own in runs.items() if own}
    if not folders:
        return {}
    with stop_requested_by_signal() as stop:
        return measure_costs(folders, plan.folder, plan.resources.device, request=plan.request, should_stop=stop)
