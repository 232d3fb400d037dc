"""What a card is about: a run, the description of its network, and records of its tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modernet.catalogue.weights import PretrainedWeights, find_weights
from modernet.errors import InputError
from modernet.records import Record, is_run_path

TESTS = ("evaluate", "robustness", "benchmark")
"""Kinds of records that a card takes besides that of the run."""


@dataclass(frozen=True)
class Card:
    """What a card is made from.

    Attributes:
        folder: name of the run's folder.
        run: its record.
        network: the content of its `network.json`.
        tests: records of evaluations, tests of robustness and benchmarks of it.
        licence: of the trained weights, as their owner states it; None: not stated.
    """

    folder: str
    run: Record
    network: Mapping[str, Any]
    tests: Sequence[Record] = field(default=())
    licence: str | None = None

    @property
    def task(self) -> str:
        """The kind of the task; early records do not name theirs."""
        return str(self.run.settings.get("task", "classification"))

    @property
    def model(self) -> str:
        """Name of the network."""
        return str(self.run.settings.get("model", self.run.name))

    def of_kind(self, kind: str) -> list[Record]:
        """Return the tests of one kind."""
        return [record for record in self.tests if record.kind == kind]


def started_from(run: Record) -> PretrainedWeights | None:
    """Return the published weights that a run started from; None if it did not, or its record does not tell.

    Their name is in the record, or in that of their file. A file of the Hub is always `model.safetensors`, so early
    records do not tell which it was.
    """
    weights = run.settings.get("weights") or {}
    name = weights.get("name") or Path(str(weights.get("file", ""))).stem
    if not weights or "." not in name:
        return None
    try:
        found = find_weights(name)
    except InputError:
        return None
    return found if found.model == run.settings.get("model") else None


def records_of(run: Record, folder: str, records: Sequence[Record]) -> list[Record]:
    """Return those of some records that are tests of a run: finished ones that name its folder, or benchmarks of its
    network.

    Args:
        folder: name of the run's folder.
    """
    return [record for record in records if record.error is None and _is_of(record, run, folder)]


def _is_of(record: Record, run: Record, folder: str) -> bool:
    model = str(record.settings.get("model", record.name))
    if record.kind == "benchmark":
        return Path(model).name == folder if is_run_path(model) else model == run.settings.get("model")
    weights = record.settings.get("weights") or {}
    return record.kind in TESTS and model == run.settings.get("model") and weights.get("file") == folder
