"""How long an arena takes on this machine, from the first steps of each network."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch

from modernet import progress
from modernet.studies.arena.cells import CellRun, train_cell
from modernet.studies.arena.request import ArenaRequest
from modernet.studies.running.jobs import attempt
from modernet.training import Interrupted, stop_requested_by_signal
from modernet.training.watching.cost import duration

_STEPS = 5


class CellEstimate(NamedTuple):
    """A cell: how many runs of how many steps, and how long a step takes; None if no step was taken."""

    model: str
    task: str
    runs: int
    steps: int
    step_s: float | None
    error: str | None

    @property
    def hours(self) -> float | None:
        """Of all its runs, one after the other."""
        return None if self.step_s is None else self.runs * self.steps * self.step_s / 3600


@dataclass(frozen=True)
class Estimate:
    """What an arena would train.

    Attributes:
        size: of the tasks.
        cells: models on tasks; the runs of pre-trainings are counted with the others, since their steps are alike.
        at_once: how many runs share the machine, or machines.
    """

    size: str
    cells: tuple[CellEstimate, ...]
    at_once: int

    @property
    def hours(self) -> float:
        """Of everything that could be measured."""
        return sum(cell.hours or 0.0 for cell in self.cells) / self.at_once

    def as_json(self) -> dict[str, Any]:
        """Return it as a JSON-able object, with an object for each cell."""
        cells = [cell._asdict() | {"hours": cell.hours} for cell in self.cells]
        return {"size": self.size, "at_once": self.at_once, "hours": self.hours, "cells": cells}

    def lines(self) -> list[str]:
        """Return it as text, a line for each cell, and the sum."""
        texts = []
        for cell in self.cells:
            cost = (
                f"failed: {cell.error}" if cell.hours is None else f"{duration(cell.hours)}, {cell.step_s:.3g} s a step"
            )
            texts.append(f"{cell.model} on {cell.task}: {cell.runs} x {cell.steps:,} steps, {cost}")
        runs = sum(cell.runs for cell in self.cells)
        together = "one after the other" if self.at_once == 1 else f"{self.at_once} at once"
        texts.append(
            f"size {self.size}: {runs} runs, {together}, about {duration(self.hours)} from their first {_STEPS} steps, "
            "without validation and test; Ctrl-C stops, and the same command continues"
        )
        return texts


def estimate_runs(request: ArenaRequest, runs: Sequence[CellRun]) -> Estimate:
    """Time the first steps of each model on each task, in a folder that is removed.

    Args:
        runs: those from random weights, at least one.

    Raises:
        Interrupted: Ctrl-C.
    """
    at_once = runs[0].resources.concurrent_runs
    factor = 1 if request.self_pretrain is None else 3  # alone, the pre-training, and after it
    by_cell: dict[tuple[str, str], list[CellRun]] = {}
    for run in runs:
        by_cell.setdefault((run.name, run.title), []).append(run)
    cells = []
    with _threads_of(at_once), stop_requested_by_signal() as stop:
        for (model, task), those in progress.track(by_cell.items(), "timing first steps", len(by_cell)):
            step_s, error = _time(those[0], stop)
            cells.append(CellEstimate(model, task, factor * len(those), those[0].steps, step_s, error))
    return Estimate(request.size, tuple(cells), at_once)


def _time(run: CellRun, stop: Callable[[], bool]) -> tuple[float | None, str | None]:
    """Return the seconds of a step, or the error of the run."""
    clock = _Clock(stop, run.resources.device)
    with tempfile.TemporaryDirectory() as folder:
        try:
            outcome = attempt(replace(run, folder=Path(folder)), train_cell, clock)
        except Interrupted:
            if stop():
                raise
            return clock.step_s, None
    return clock.step_s, outcome.error


class _Clock:
    """Is asked after every step whether to stop, and notes when."""

    def __init__(self, stop: Callable[[], bool], device: torch.device) -> None:
        self._stop, self._device, self._times = stop, device, list[float]()

    def __call__(self) -> bool:
        if self._device.type != "cpu":
            torch.accelerator.synchronize(self._device)
        self._times.append(time.perf_counter())
        return len(self._times) > _STEPS or self._stop()

    @property
    def step_s(self) -> float | None:
        """The median time between two steps; the first, which builds and compiles, does not count."""
        pairs = zip(self._times, self._times[1:], strict=False)
        return statistics.median(later - earlier for earlier, later in pairs) if len(self._times) > 1 else None


@contextmanager
def _threads_of(at_once: int) -> Iterator[None]:
    """Compute with the threads that each of several runs will have."""
    before = torch.get_num_threads()
    torch.set_num_threads(max(1, before // at_once))
    try:
        yield
    finally:
        torch.set_num_threads(before)
