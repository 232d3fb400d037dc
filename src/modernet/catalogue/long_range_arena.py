"""The published table of the Long Range Arena, with the rule by which each row takes its average."""

from __future__ import annotations

import csv
import functools
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

ARENA_TASKS = {
    "listops": "ListOps",
    "text": "Text",
    "retrieval": "Retrieval",
    "image": "Image",
    "pathfinder": "Pathfinder",
    "pathx": "Path-X",
}
"""The six tasks, in the order of the table: name -> title."""

_SOURCES = {
    "lra": "Tay et al. 2020, the benchmark's own table",
    "s4": "the S4 paper's table",
    "httyh": "How to Train Your HiPPO, as reprinted with S4D-DFouT",
    "s4d": "the S4D paper, as reprinted with S4D-DFouT",
    "s5": "the S5 paper, as reprinted with S4D-DFouT",
    "liquid": "Liquid-S4, as reprinted with S4D-DFouT",
    "dfout": "S4D-DFouT; the average is computed here",
    "spt": "Amos et al., Never Train from Scratch, as reprinted with S4D-DFouT; the average is computed here",
    "mega": "the Mega paper's table",
    "megalodon": "the Megalodon paper's table",
}


@dataclass(frozen=True)
class PublishedRow:
    """One row of a published table.

    Attributes:
        source: short name of the publication; `source_title` says which it is.
        model: as the publication calls it.
        network: the sequence model that it corresponds to; empty if there is none.
        pretraining: `"masked"` where the row was pre-trained on the task's own inputs; empty without.
        scores: task -> test accuracy in per cent; None where training failed, at the level of chance.
        average: as published, see `average_rule`.
    """

    source: str
    model: str
    network: str
    pretraining: str
    scores: Mapping[str, float | None]
    average: float

    @property
    def source_title(self) -> str:
        """The publication."""
        return _SOURCES[self.source]

    @property
    def averaged_tasks(self) -> int:
        """5 where the average leaves Path-X out because training failed, else 6."""
        return 5 if self.source in ("lra", "mega") and self.scores["pathx"] is None else 6

    @property
    def average_rule(self) -> str:
        """What the average is over."""
        if self.averaged_tasks == 5:
            return "five tasks, without Path-X"
        return "six tasks" + (", the failed one counted as 50" if None in self.scores.values() else "")


@functools.cache
def arena_rows() -> tuple[PublishedRow, ...]:
    """Return every published row, the benchmark's own first."""
    text = files("modernet.catalogue").joinpath("long_range_arena.csv").read_text(encoding="utf-8")
    return tuple(map(_row, csv.DictReader(text.splitlines())))


def published_rows(network: str, pretraining: str | None = None) -> tuple[PublishedRow, ...]:
    """Return the published rows of a sequence model.

    Args:
        network: its name here; a variant of its released code, such as `local_lra`, has the rows of `local`.
        pretraining: on the task's own inputs: None, `"masked"` or `"next"`.
    """
    name = network.partition("_lra")[0]
    return tuple(row for row in arena_rows() if (row.network, row.pretraining) == (name, pretraining or ""))


def _row(fields: Mapping[str, str]) -> PublishedRow:
    scores = {task: None if fields[task] == "fail" else float(fields[task]) for task in ARENA_TASKS}
    source, model, network, pretraining = (fields[name] for name in ("source", "model", "network", "pretraining"))
    return PublishedRow(source, model, network, pretraining, scores, float(fields["average"]))
