"""Summarise what an arena shows in a few sentences, which claim no more than its intervals allow."""

from __future__ import annotations

from modernet.report.arena.summary import Arena, Cell, Entry, Task
from modernet.report.notation import interval, plural, signed, with_unit
from modernet.statistics import welch_interval


def findings(arena: Arena) -> str:
    """Return sentences computed from the numbers: floors, the best of each task, what pre-training changed."""
    cells = [cell for task in arena.tasks for cell in arena.column(task)]
    if not cells:
        return "No run has finished."
    sentences = [_floors(arena, cells), *(_best(arena, task) for task in arena.tasks), _pretraining(arena)]
    return " ".join(filter(None, sentences))


def _floors(arena: Arena, cells: list[Cell]) -> str:
    judged = [cell for cell in cells if cell.task.floors]
    below = [cell for cell in judged if cell.floors_not_beaten]
    if not judged:
        return ""
    above = len(judged) - len(below)
    are = "is" if above == 1 else "are"
    first = f"Of {plural(len(judged), 'cell')}, {above} {are} above every floor by more than the interval"
    if not below:
        return f"{first}."
    groups: dict[tuple[str, str], list[str]] = {}
    for cell in below:
        value, what = cell.floors_not_beaten[0]
        place = f"on {cell.task.title} ({what}, {with_unit(value, arena.digits, arena.metric.unit)})"
        groups.setdefault((cell.task.name, place), []).append(cell.entry.label)
    named = "; ".join(f"{', '.join(names)} {place}" for (_, place), names in groups.items())
    return f"{first}. Not above, with the lowest such floor: {named}."


def _best(arena: Arena, task: Task) -> str:
    """Return which model is the best on a task, and whether the runs show that it is better than the next."""
    column = arena.column(task)
    if len(column) < 2:
        return ""
    first, second, *_ = column
    assert first.mean is not None
    assert second.mean is not None
    digits = arena.digits
    lead = welch_interval(first.scores, second.scores)
    text = (
        f"{task.title}: {first.entry.label} is first with {with_unit(first.mean, digits, arena.metric.unit)}, "
        f"{signed(first.mean - second.mean, digits)} points to {second.entry.label}"
    )
    if lead is None:
        return f"{text} (no interval: it takes two seeds)."
    shown = interval(lead, digits)
    return f"{text} {shown}" + ("." if lead.excludes(0) else ", which includes zero.")


def _pretraining(arena: Arena) -> str:
    """Return what pre-training changed, over all models and tasks that have it."""
    changes, clear = [], 0
    for entry in arena.entries:
        if entry.pretraining is None:
            continue
        for cell, without in zip(arena.row(entry), arena.row(Entry(entry.model, None)), strict=True):
            if cell.mean is not None and without.mean is not None:
                changes.append(cell.mean - without.mean)
                ends = welch_interval(cell.scores, without.scores)
                clear += ends is not None and ends.excludes(0)
    if not changes:
        return ""
    spread = f"{signed(min(changes), arena.digits)} to {signed(max(changes), arena.digits)} points"
    have = "has" if clear == 1 else "have"
    return (
        f"Pre-training on a task's own inputs changes {plural(len(changes), 'cell')} by {spread}; {clear} of these "
        f"changes {have} an interval over seeds that excludes zero."
    )
