"""Format an arena and its cells as short texts."""

from __future__ import annotations

from collections.abc import Iterable

from modernet.report.arena.summary import Arena, Cell, Task
from modernet.report.notation import MISSING, number, plural
from modernet.statistics import Interval

NOT_ABOVE = "†"
"""Marks a cell that is not above a floor by more than its interval."""


def score(cell: Cell, digits: int) -> str:
    """Format the mean of a cell with its mark; `failed` if runs failed and none finished."""
    if cell.mean is None:
        return "failed" if cell.errors else MISSING
    return number(cell.mean, digits) + (f" {NOT_ABOVE}" if cell.floors_not_beaten else "")


def span(ends: Interval | None, digits: int) -> str:
    """Format the interval of an accuracy: `[39.0, 43.4]`; empty if there is none."""
    return "" if ends is None else f"[{number(ends.low, digits)}, {number(ends.high, digits)}]"


def floors(task: Task, digits: int) -> str:
    """Format the floors of a task: `17.2 the most frequent digit, 36.5 the root operator`."""
    return ", ".join(f"{number(value, digits)} {what}" for value, what in task.floors)


def seed_counts(cells: Iterable[Cell]) -> str:
    """Format `3 seeds`, or `1 to 3 seeds` if the cells differ; cells without a finished run are ignored."""
    counts = sorted({len(cell.runs) for cell in cells if cell.runs})
    if not counts:
        return "no finished run"
    return plural(counts[0], "seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} seeds"


def conditions(arena: Arena) -> str:
    """Format the conditions of an arena in one line: size, seeds, devices."""
    cells = [cell for entry in arena.entries for cell in arena.row(entry)]
    return " · ".join([f"size {arena.size}", seed_counts(cells), *arena.devices])
