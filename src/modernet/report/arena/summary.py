"""Summarise the records of an arena: the cells of its table, with intervals and the floors that they are above."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from modernet.catalogue import ARENA_TASKS, PublishedRow, arena_rows, published_rows
from modernet.records import Metric, Record
from modernet.report.arena.place import ArenaPlace, belongs_to_an_arena
from modernet.report.origin import devices
from modernet.statistics import Interval, repeated_interval

PRETRAINING = "sequence_pretraining"
"""Kind of the task of a record that is the pre-training of a cell, not the cell."""


class Entry(NamedTuple):
    """A row of the table: a model, and how it was pre-trained on each task's own inputs, if at all."""

    model: str
    pretraining: str | None

    @property
    def label(self) -> str:
        """Its name for people."""
        return f"{self.model}, {self.pretraining}" if self.pretraining else self.model


class Task(NamedTuple):
    """A column of the table.

    Attributes:
        name: in code; `title` for people.
        data: name of the data set; `fingerprint` tells other data of the same name.
        n_test: sequences of the test split.
        floors: accuracy in per cent -> what reaches it, in ascending order.
    """

    name: str
    title: str
    data: str
    fingerprint: str
    n_test: int | None
    floors: tuple[tuple[float, str], ...]


@dataclass(frozen=True)
class Cell:
    """One model on one task. Scores are test accuracies in per cent.

    Attributes:
        entry, task: where it is.
        runs: the finished runs, one for each seed, in the order of their seeds.
        errors: of failed runs, one line each, for seeds without a finished run.
        pretraining: the finished pre-trainings before them.
    """

    entry: Entry
    task: Task
    runs: tuple[Record, ...] = field(repr=False)
    errors: tuple[str, ...] = ()
    pretraining: tuple[Record, ...] = field(default=(), repr=False)

    @property
    def scores(self) -> tuple[float, ...]:
        """One for each finished run."""
        return tuple(run.metrics[f"test_{run.primary.name}"] for run in self.runs)

    @property
    def mean(self) -> float | None:
        """Over the seeds; None without a finished run."""
        return statistics.mean(self.scores) if self.runs else None

    @property
    def n(self) -> int | None:
        """Test sequences; None without a finished run."""
        return int(self.runs[0].metrics["test_n"]) if self.runs else None

    @property
    def interval(self) -> Interval | None:
        """Of the mean, over test sequences and, from two on, seeds; None without a finished run."""
        if not self.runs:
            return None
        ends = repeated_interval([score / 100 for score in self.scores], self.runs[0].metrics["test_n"])
        return Interval(100 * ends.low, 100 * ends.high)

    @property
    def floors_not_beaten(self) -> tuple[tuple[float, str], ...]:
        """Floors of its task that are not below its interval, the lowest first."""
        low = math.inf if self.interval is None else self.interval.low
        return tuple(floor for floor in self.task.floors if floor[0] >= low)

    @property
    def train_score(self) -> float | None:
        """Training accuracy in the last epoch, the mean over seeds; None if it was not recorded."""
        name = f"train_{self.runs[0].primary.name}" if self.runs else ""
        last = [run.history[-1][name] for run in self.runs if run.history and name in run.history[-1]]
        return statistics.mean(last) if last else None

    @property
    def seconds(self) -> float | None:
        """Training time of a run, the mean over seeds, with its pre-training; None without a finished run."""
        own, before = _mean(self.runs, "seconds"), _mean(self.pretraining, "seconds")
        return own if own is None or before is None else own + before

    @property
    def sequences_per_second(self) -> float | None:
        """In training, the mean over seeds; None if it was not measured."""
        return _mean(self.runs, "train_sequences_per_second")

    @property
    def params(self) -> int | None:
        """Parameters of the network."""
        return next((run.settings["params"] for run in self.runs if "params" in run.settings), None)


@dataclass(frozen=True)
class Arena:
    """One table.

    Attributes:
        size: of the tasks; `rules`: digest of how they are trained, see `ArenaPlace`.
        metric: of the cells.
        tasks: columns, in the order of the benchmark.
        entries: rows, in the order of the published table; what is not in it comes last.
        cells: those that have records.
        devices: see `origin.devices`.
        records: all runs, pre-trainings too.
    """

    size: str
    rules: str
    metric: Metric
    tasks: tuple[Task, ...]
    entries: tuple[Entry, ...]
    cells: Mapping[tuple[Entry, Task], Cell] = field(repr=False)
    devices: tuple[str, ...]
    records: tuple[Record, ...] = field(repr=False)

    @property
    def digits(self) -> int:
        """Decimals of its scores."""
        return self.metric.digits_for(min((task.n_test or 0 for task in self.tasks), default=0))

    def row(self, entry: Entry) -> list[Cell]:
        """Return the cells of a row, in the order of the tasks; an empty one where there is no record."""
        return [self.cells.get((entry, task), Cell(entry, task, ())) for task in self.tasks]

    def column(self, task: Task) -> list[Cell]:
        """Return the cells of a task that have a score, the best first."""
        cells = [cell for entry in self.entries for cell in self.row(entry) if cell.task == task and cell.runs]
        return sorted(cells, key=lambda cell: -(cell.mean or 0.0))

    def mean(self, entry: Entry) -> tuple[float, Interval] | None:
        """Return the mean of a row over the tasks and its interval; None if a cell has no score.

        The tasks have nothing in common, so the margins of their intervals add by their squares.
        """
        cells = self.row(entry)
        means, intervals = [cell.mean for cell in cells], [cell.interval for cell in cells]
        known = [(mean, ends) for mean, ends in zip(means, intervals, strict=True) if mean is not None and ends]
        if len(known) < len(cells):
            return None
        mean = statistics.mean(mean for mean, _ in known)
        low = math.hypot(*(mean - ends.low for mean, ends in known)) / len(known)
        high = math.hypot(*(ends.high - mean for mean, ends in known)) / len(known)
        return mean, Interval(mean - low, mean + high)


def published(entry: Entry) -> tuple[PublishedRow, ...]:
    """Return the published rows of a row of the table, the first one to be shown beside it."""
    return published_rows(entry.model, entry.pretraining)


def summarise_arenas(records: Iterable[Record]) -> list[Arena]:
    """Return a summary for each arena; records of other studies are ignored.

    Runs belong to one table if they share the size and the rules of training. If one seed of a cell was run more than
    once, the latest finished run counts.

    Raises:
        InputError: a record of an arena does not say which cell it is of.
    """
    arenas: dict[tuple[str, str], list[_Run]] = {}
    for record in records:
        if belongs_to_an_arena(record):
            run = _Run(record, ArenaPlace.from_record(record))
            arenas.setdefault((run.place.size, run.place.rules), []).append(run)
    return [_summary(runs) for runs in arenas.values()]


class _Run(NamedTuple):
    record: Record
    place: ArenaPlace

    @property
    def entry(self) -> Entry:
        return Entry(self.record.settings["model"], self.place.pretraining)

    @property
    def task(self) -> Task:
        data, name = self.record.settings["data"], self.place.arena_task
        floors = tuple(sorted((value, what) for what, value in data.get("floors", {}).items()))
        title = ARENA_TASKS.get(name, name)
        return Task(name, title, str(data.get("name")), str(data.get("fingerprint")), data.get("n_test"), floors)


def _summary(runs: Sequence[_Run]) -> Arena:
    by_cell: dict[tuple[Entry, Task], list[_Run]] = {}
    for run in sorted(runs, key=lambda run: str(run.record.environment.get("created", ""))):
        by_cell.setdefault((run.entry, run.task), []).append(run)
    order = [row.network for row in arena_rows()]
    entries = sorted(
        {entry for entry, _ in by_cell},
        key=lambda entry: (_position(entry.model.partition("_lra")[0], order), entry.model, entry.pretraining or ""),
    )
    titles = list(ARENA_TASKS)
    tasks = sorted({task for _, task in by_cell}, key=lambda task: (_position(task.name, titles), task[:4]))
    cells = {place: _cell(*place, found) for place, found in by_cell.items()}
    of_cells = [run.record for run in runs if run.record.settings.get("task") != PRETRAINING]
    return Arena(
        size=runs[0].place.size,
        rules=runs[0].place.rules,
        metric=(of_cells or [runs[0].record])[0].primary,
        tasks=tuple(tasks),
        entries=tuple(entries),
        cells=cells,
        devices=devices(run.record for run in runs),
        records=tuple(run.record for run in runs),
    )


def _position(name: str, names: Sequence[str]) -> int:
    """Return the index of a name; that after the last one if it is not there."""
    return names.index(name) if name in names else len(names)


def _cell(entry: Entry, task: Task, runs: Sequence[_Run]) -> Cell:
    """Summarise one cell from its runs in the order of their dates."""
    own = [run.record for run in runs if run.record.settings.get("task") != PRETRAINING]
    before = [run.record for run in runs if run.record.settings.get("task") == PRETRAINING]
    finished = _latest(own)
    failed = {run.settings["seed"]: run.error for run in (*before, *own) if run.error}
    return Cell(
        entry,
        task,
        tuple(finished[seed] for seed in sorted(finished)),
        tuple(error for seed, error in failed.items() if seed not in finished),
        tuple(_latest(before).values()),
    )


def _latest(runs: Iterable[Record]) -> dict[int, Record]:
    """Return the last finished run of each seed."""
    return {run.settings["seed"]: run for run in runs if run.error is None}


def _mean(runs: Sequence[Record], name: str) -> float | None:
    values = [run.metrics[name] for run in runs if name in run.metrics]
    return statistics.mean(values) if values else None
