"""The sections of the Long Range Arena."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from modernet.catalogue import ARENA_TASKS
from modernet.records import Record
from modernet.report.arena import tables, wording
from modernet.report.arena.chart import arena_chart, notes, write_arena_png
from modernet.report.arena.findings import findings
from modernet.report.arena.place import ArenaPlace
from modernet.report.arena.summary import PRETRAINING, Arena, published, summarise_arenas
from modernet.report.drawing.curves import learning_curves
from modernet.report.origin import origin
from modernet.report.section import Chart, Image, Section


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each arena; see `Kind`."""
    return [_section(arena) for arena in summarise_arenas(records)]


def _section(arena: Arena) -> Section:
    chart = arena_chart(arena)
    cells = [cell for task in arena.tasks for cell in arena.column(task)]
    curves = {
        task.title: learning_curves(
            {cell.entry.label: cell.runs for cell in arena.column(task)}, arena.metric, averaged=True
        )
        for task in arena.tasks
    }
    content = {
        "arena": arena,
        "wording": wording,
        "findings": findings(arena),
        "charts": [] if chart is None else [Chart(" ".join(["Accuracy by task.", *notes(arena)]), chart)],
        "headings": tables.headings(arena),
        "rows": tables.rows(arena),
        "legend": tables.legend(arena),
        "failures": tables.failures(arena),
        "published": list(
            {(row.source, row.model): row for entry in arena.entries for row in published(entry)}.values()
        ),
        "titles": list(ARENA_TASKS.values()),
        "cells": cells,
        "curves": {title: found for title, found in curves.items() if found is not None},
        "origin": origin(arena.records, [_user(record) for record in arena.records], _users),
    }
    return Section(
        "arena",
        f"The Long Range Arena on this machine, size {arena.size}",
        f"Arena: {arena.size}",
        content,
        arena.records,
        Image("arena", functools.partial(write_arena_png, arena)),
    )


def _user(record: Record) -> str:
    """Return what a recipe is used for: `s4: listops`."""
    before = "pre-training on " if record.settings.get("task") == PRETRAINING else ""
    return f"{record.settings['model']}: {before}{ArenaPlace.from_record(record).arena_task}"


def _users(names: Sequence[str]) -> str:
    """Format `linear, transformer: image, pathfinder`; tasks that have the same models stand together."""
    models: dict[str, list[str]] = {}
    for name in names:
        model, _, task = name.partition(": ")
        models.setdefault(task, []).append(model)
    tasks: dict[str, list[str]] = {}
    for task, those in models.items():
        tasks.setdefault(", ".join(those), []).append(task)
    return "; ".join(f"{those}: {', '.join(found)}" for those, found in tasks.items())
