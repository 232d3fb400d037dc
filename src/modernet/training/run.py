"""One run of any task: from a folder to a record."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any, Required, TypedDict

import torch

from modernet import progress
from modernet.errors import InputError
from modernet.files.atomic import check_writable
from modernet.machine.device import default_device, describe
from modernet.processes import ALONE, Processes
from modernet.recipes import Execution, Recipe, short_average
from modernet.records import RECORD_NAME, Record, environment
from modernet.training.context import Intervals, RunContext
from modernet.training.loop import Trained, train
from modernet.training.non_finite import check_finite
from modernet.training.state.checkpoint import Checkpoint, read_checkpoint, remove_checkpoint
from modernet.training.state.identity import run_identity
from modernet.training.state.run_folder import finished_run
from modernet.training.task import Task
from modernet.training.watching.cost import Cost


@dataclass(frozen=True)
class RunSpec:
    """What a run is, before anything is built."""

    name: str
    """Short name of the network, for the progress display and the record."""
    recipe: Recipe
    seed: int
    settings: Mapping[str, Any]
    """The record's settings: everything needed to repeat the run. What identifies it is taken from them."""


class RunOptions(TypedDict, total=False):
    """Keyword arguments that every `train_...` function passes on to `run_task`."""

    folder: Required[str | os.PathLike[str]]
    device: torch.device | None
    execution: Execution | None
    processes: Processes
    workers: int
    show_cost: bool
    should_stop: Callable[[], bool]
    intervals: Intervals
    announce: Callable[[Mapping[str, Any]], None]


def run_task(
    build: Callable[[RunContext], Task],
    spec: RunSpec,
    *,
    folder: str | os.PathLike[str],
    device: torch.device | None = None,
    execution: Execution | None = None,
    processes: Processes = ALONE,
    workers: int = 1,
    show_cost: bool = False,
    should_stop: Callable[[], bool] = lambda: False,
    intervals: Intervals = Intervals(),  # noqa: B008 - frozen
    announce: Callable[[Mapping[str, Any]], None] = lambda settings: None,
) -> Record:
    """Train a task, test it, and leave its weights and its record in a folder.

    If the folder contains a checkpoint of this run, training resumes from it; if it contains this run, finished, its
    record is returned and nothing is done. Nothing is selected on the test split: the network of the last step is
    tested, and where the task asks for it those of the epochs before it (`Task.tested_epochs`).

    Args:
        build: makes the task, after torch's generator was seeded.
        spec: what to run.
        folder: gets `record.json`, `metrics.jsonl` and what the task saves; checkpoints while the run is unfinished.
            Several processes need one that all of them see.
        device: where to train; None: this machine's accelerator if it has one.
        execution: how to use the machine; None: the defaults.
        processes: those that train together, from `join_processes`; each makes this same call.
        workers: how many such runs share the machine, for the record.
        show_cost: print what the run will cost, once its throughput is known.
        should_stop: called after every step; see `Interrupted`.
        announce: called with the settings of the record, before anything is built or written.

    Returns:
        The record, as the first process writes it; in the others, times and energy may differ.

    Raises:
        Interrupted: `should_stop` returned True; the same call resumes from the checkpoint.
        NonFiniteLoss: the loss became NaN or infinite.
        DiskFull: there was no room for a checkpoint.
        InputError: the batch cannot be divided as the execution asks, the folder's checkpoint or record belongs to
            another run, or the task cannot be built.
    """
    where = Path(folder)
    device = device or default_device(processes)
    execution = execution or Execution()
    settings = {**spec.settings, "task": spec.recipe.task}
    announce(settings)
    if processes.main:
        check_writable(where)
    identity = run_identity(settings)
    finished = find_finished_together(where, identity, processes)
    if finished is not None:
        if processes.main:
            progress.say(f"{where} contains this run, finished: nothing is left to train")
        return finished
    checkpoint = read_checkpoint_together(where, identity, processes)
    micro_batches = divide_batch(spec.recipe, execution, processes, checkpoint)
    context = RunContext(device, processes, execution, micro_batches)
    circumstances = environment(describe(device, torch.get_num_threads()))  # now: the checkout may change meanwhile

    torch.manual_seed(spec.seed)
    task = build(context)
    warning = short_average(spec.recipe, spec.recipe.schedule.epochs * task.batches.steps_per_epoch)
    if warning and processes.main:
        progress.say(warning)
    cost = None
    if show_cost and processes.main and "macs" in settings:
        samples = task.batches.samples_per_epoch
        cost = Cost(settings["macs"], spec.recipe, samples, device, processes, task.unit)
    trained = train(
        task,
        spec.recipe,
        context,
        seed=spec.seed,
        folder=where,
        identity=identity,
        checkpoint=checkpoint,
        should_stop=should_stop,
        name=spec.name,
        cost=cost,
        intervals=intervals,
    )
    metrics = _metrics(task, trained)
    check_finite(metrics, "on the test split")
    record = Record(
        kind="train",
        name=spec.name,
        settings=settings,
        metrics=metrics,
        history=trained.history,
        environment={
            **circumstances,
            "workers": workers,
            "processes": processes.world,
            "execution": asdict(execution) | {"micro_batches": micro_batches},
            "evaluation_precision": "fp32",  # of validation and test, whatever the recipe trains in
        },
        task_metrics=task.metrics,
        details=dict(task.details),
    )
    if processes.main:
        task.save(where, trained.network)
        record.write(where / RECORD_NAME)
        remove_checkpoint(where)
    processes.wait()
    return record


def find_finished_together(folder: Path, identity: Mapping[str, Any], processes: Processes) -> Record | None:
    """Return the record of a run, if the first process finds it finished.

    Raises:
        InputError: the first process finds another run.
    """
    found, failure = None, None
    if processes.main:
        try:
            found = finished_run(folder, identity)
        except InputError as error:
            failure = error
    found, failure = processes.gather((found, failure))[0]
    if failure is not None:
        raise failure
    return found


def read_checkpoint_together(folder: Path, identity: Mapping[str, Any], processes: Processes) -> Checkpoint | None:
    """Read the checkpoint that all processes resume from.

    Raises:
        InputError: it cannot be read, or the processes do not see the same one.
    """
    found, failure = None, None
    try:
        found = read_checkpoint(folder, identity)
    except InputError as error:
        failure = error
    seen = processes.gather((found is not None and found.step, str(failure or "")))
    if failure is None and len(set(seen)) > 1:
        failure = InputError(
            f"not all processes see the same checkpoint in {folder}; give an --out on a file system that they share"
        )
    if failure is not None:
        raise failure
    return found


def divide_batch(recipe: Recipe, execution: Execution, processes: Processes, checkpoint: Checkpoint | None) -> int:
    """Return the number of micro-batches per step: one per process, or more where devices take fewer examples at once.

    Raises:
        InputError: the batch does not divide evenly, or a run would resume with another number than it began with.
    """
    count = execution.micro_batches(recipe.batch_size, processes.world)
    if checkpoint is None or checkpoint.micro_batches == count:
        return count
    if execution.device_batch is not None:
        raise InputError(
            f"the run began with {checkpoint.micro_batches} micro-batches per step, not {count}; leave out "
            "--device-batch"
        )
    if checkpoint.micro_batches % processes.world:
        raise InputError(
            f"the run began with {checkpoint.micro_batches} micro-batches per step, which {processes.world} processes "
            f"cannot share evenly; resume with a number of processes that divides {checkpoint.micro_batches}"
        )
    return checkpoint.micro_batches


def _metrics(task: Task, trained: Trained) -> dict[str, float]:
    """Test the network, and return the metrics of the record."""
    metrics = {f"test_{key}": value for key, value in task.evaluate(trained.network, "test").items()}
    primary = f"test_{task.metrics[0].name}"
    earlier = [row[primary] for row in trained.history if primary in row]
    if earlier:
        tested = [*earlier, metrics[primary]]
        metrics |= {f"{primary}_mean": mean(tested), f"{primary}_spread": stdev(tested)}
    metrics |= {key: value for key, value in trained.history[-1].items() if key.startswith("validation_")}
    if trained.samples_per_second is not None:
        metrics[f"train_{task.unit}_per_second"] = trained.samples_per_second
    if trained.energy_joules is not None:
        metrics["train_energy_kwh"] = trained.energy_joules / 3.6e6
    if trained.skipped:
        metrics["skipped_steps"] = trained.skipped
    return metrics | {"seconds": trained.train_seconds}
