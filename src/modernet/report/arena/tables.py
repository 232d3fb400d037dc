"""The table of an arena: for the terminal, for Markdown, for the page and as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from modernet.catalogue import PublishedRow
from modernet.report.arena.findings import findings
from modernet.report.arena.summary import Arena, Cell, Entry, published
from modernet.report.arena.wording import NOT_ABOVE, conditions, score, span
from modernet.report.notation import MISSING, markdown_text, number

if TYPE_CHECKING:
    from rich.table import Table

_LEGEND = (
    "Accuracy in % on the test split: the mean over seeds, and its 95 % interval over test sequences and seeds. "
    f"{NOT_ABOVE} not above a floor, which needs no understanding of the task, by more than that. "
)
_PUBLISHED = (
    "Published: full-length tasks, each row with the settings and the average of its source (5: over five tasks, "
    "without Path-X; 6: over six, a failed one counted as 50)."
)


class Texts(NamedTuple):
    """A cell as text.

    Attributes:
        value: with its mark.
        interval: empty if there is none.
    """

    value: str
    interval: str = ""


class Row(NamedTuple):
    """A row as text.

    Attributes:
        kind: measured here, published, or a floor.
        title: what it is of.
        cells: one for each task.
        mean: over the tasks; of a published row its own average.
    """

    kind: Literal["measured", "published", "floor"]
    title: str
    cells: tuple[Texts, ...]
    mean: Texts


def rows(arena: Arena) -> list[Row]:
    """Return the rows of the table: each model followed by its published row, then the floors, the lowest first."""
    found: list[Row] = []
    for entry in arena.entries:
        found.append(_measured(arena, entry))
        found += [_published(arena, row) for row in published(entry)[:1]]
    lowest: dict[str, float] = {}
    for task in arena.tasks:
        for value, what in task.floors:
            lowest[what] = min(value, lowest.get(what, value))
    for what in sorted(lowest, key=lambda what: lowest[what]):
        values = [next((value for value, other in task.floors if other == what), None) for task in arena.tasks]
        cells = tuple(Texts("" if value is None else number(value, arena.digits)) for value in values)
        found.append(Row("floor", what, cells, Texts("")))
    return found


def headings(arena: Arena) -> list[str]:
    """Return the headings of the tasks with their test sequences: `ListOps, n = 1,000`."""
    return [task.title + ("" if task.n_test is None else f", n = {number(task.n_test, 0)}") for task in arena.tasks]


def legend(arena: Arena) -> str:
    """Return what the columns mean."""
    with_published = any(published(entry) for entry in arena.entries)
    return (_LEGEND + (_PUBLISHED if with_published else "")).strip()


def failures(arena: Arena) -> list[str]:
    """Return a line for each distinct error of a cell."""
    return [
        f"Failed: {cell.entry.label} on {cell.task.title}: {error}"
        for cell in _cells(arena)
        for error in dict.fromkeys(cell.errors)
    ]


def arena_table(arena: Arena) -> Table:
    """Return the table for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        min_width=78,  # the notes below are as wide
        title=Text(f"The Long Range Arena on this machine\n{conditions(arena)}"),
        caption=Text("\n".join([findings(arena), legend(arena), *failures(arena)])),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("Model", overflow="fold")
    for heading in (*headings(arena), "Mean"):
        table.add_column(heading.replace(", ", "\n"), justify="right", no_wrap=True)
    for row in rows(arena):
        style = "" if row.kind == "measured" else "dim"
        texts = ["\n".join(filter(None, cell)) for cell in (*row.cells, row.mean)]
        # Text, not str: rich reads markup in strings
        table.add_row(*(Text(cell) for cell in (_title(row), *texts)), style=style)
    return table


def arena_markdown(arena: Arena) -> str:
    """Return the same table in Markdown."""
    lines = [("Model", *headings(arena), "Mean"), (":--", *["--:"] * (len(arena.tasks) + 1))]
    for row in rows(arena):
        cells = [" ".join(filter(None, cell)) for cell in (*row.cells, row.mean)]
        lines.append(tuple(markdown_text(cell) for cell in (_title(row), *cells)))
    notes = [markdown_text(line) for line in (f"{conditions(arena)}.", legend(arena), *failures(arena))]
    return "\n".join([*(f"| {' | '.join(line)} |" for line in lines), "", "  \n".join(notes), ""])


def arena_cells(arena: Arena) -> list[dict[str, Any]]:
    """Return every cell as a JSON-able object: what was measured, the floors, and all published scores."""
    return [_as_object(cell) for cell in _cells(arena)]


def _as_object(cell: Cell) -> dict[str, Any]:
    ends = cell.interval
    return {
        "model": cell.entry.model,
        "pretraining": cell.entry.pretraining,
        "task": cell.task.name,
        "data": cell.task.data,
        "accuracy": cell.mean,
        "low": ends and ends.low,
        "high": ends and ends.high,
        "n": cell.n,
        "seeds": {str(run.settings["seed"]): value for run, value in zip(cell.runs, cell.scores, strict=True)},
        "floors": {what: value for value, what in cell.task.floors},
        "not_above": [what for _, what in cell.floors_not_beaten],
        "train_accuracy": cell.train_score,
        "params": cell.params,
        "seconds": cell.seconds,
        "sequences_per_second": cell.sequences_per_second,
        "published": {f"{row.source}:{row.model}": row.scores[cell.task.name] for row in published(cell.entry)},
        "errors": list(cell.errors),
    }


def _measured(arena: Arena, entry: Entry) -> Row:
    digits = arena.digits
    cells = tuple(Texts(score(cell, digits), span(cell.interval, digits)) for cell in arena.row(entry))
    mean = arena.mean(entry)
    return Row(
        "measured",
        entry.label,
        cells,
        Texts(MISSING) if mean is None else Texts(number(mean[0], digits), span(mean[1], digits)),
    )


def _published(arena: Arena, row: PublishedRow) -> Row:
    cells = (row.scores[task.name] for task in arena.tasks)
    average = f"{number(row.average, 2)} ({row.averaged_tasks})"
    return Row(
        "published",
        row.source,
        tuple(Texts("fail" if cell is None else number(cell, 2)) for cell in cells),
        Texts(average),
    )


def _title(row: Row) -> str:
    return {"measured": "", "published": "  published: ", "floor": "floor: "}[row.kind] + row.title


def _cells(arena: Arena) -> Sequence[Cell]:
    return [cell for entry in arena.entries for cell in arena.row(entry) if cell.runs or cell.errors]
