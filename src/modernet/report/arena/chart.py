"""The chart of an arena: accuracies of each task with their intervals, between floors and published values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modernet.report.arena.summary import Arena, Cell, published
from modernet.report.arena.wording import conditions, floors, score, span
from modernet.report.drawing.axes import metric_limits
from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, row, tooltip
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.theme import CLEAR, DOT, FAINT, INK, PAPER
from modernet.report.notation import axis_title, number, with_unit

_STEP = 22  # pixels per row


def write_arena_png(arena: Arena, path: Path) -> None:
    """Write the chart of an arena as a PNG; without finished runs, the sentence that says so."""
    chart = arena_chart(arena)
    panels = [Panel(chart, notes=notes(arena))] if chart is not None else []
    empty = "" if panels else " · no finished run yet"
    write_png(path, "The Long Range Arena on this machine", conditions(arena) + empty, panels)


def notes(arena: Arena) -> list[str]:
    """Return what the marks of the chart mean."""
    lines = ["Point: mean over seeds. Line: 95 % interval over test sequences and seeds. Small dots: seeds."]
    if any(published(entry) for entry in arena.entries):
        lines[0] += " Diamonds: published, full-length tasks."
    named = [f"{task.title} {floors(task, arena.digits)}" for task in arena.tasks if task.floors]
    if named:
        lines.append(
            f"Dashed: floors, which need no understanding of the task: {'; '.join(named)}. Orange: not above a floor "
            "by more than the interval."
        )
    return lines


def arena_chart(arena: Arena) -> Spec | None:
    """Draw a block of rows for each task, the best model first; None without a finished run."""
    rows: list[dict[str, Any]] = []
    seeds: list[dict[str, Any]] = []
    lines: list[dict[str, Any]] = []
    for task in arena.tasks:
        column = arena.column(task)
        if not column:
            continue
        if rows:
            rows.append({"row": len(rows), "name": ""})  # an empty row between tasks
        rows.append({"row": len(rows), "name": task.title, "heading": True})
        first = len(rows)
        for cell in column:
            seeds += [_seed(len(rows), cell, index, arena) for index in range(len(cell.runs))]
            rows.append(_row(len(rows), cell, arena))
        for value, what in task.floors:
            about = [f"floor: {what}", with_unit(value, arena.digits, arena.metric.unit)]
            lines.append({"row": first, "last": len(rows) - 1, "value": value, "about": tooltip(about)})
    if not rows:
        return None
    ends = [each[key] for each in rows for key in ("low", "high", "published") if each.get(key) is not None]
    limits = metric_limits([*ends, *(line["value"] for line in lines)], arena.metric)
    scale = {"domain": list(limits), "nice": False, "zero": False}
    x = quantitative("value", axis_title(arena.metric, "test"), scale=scale, axis={"tickCount": 8})
    y: Spec = {"y": row(len(rows))}
    drawn = [{"filter": "isValid(datum.value)"}]
    color = {"condition": {"test": "datum.low_floor", "value": CLEAR}, "value": DOT}
    point = {"type": "point", "filled": True, "opacity": 1, "stroke": PAPER, "strokeWidth": 1}
    layers: list[Spec] = [
        {
            "transform": drawn,
            "mark": {"type": "rule", "strokeWidth": 1.8},
            "encoding": {**y, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": color},
        },
        {
            "transform": [{"filter": "isValid(datum.published)"}],
            "mark": {"type": "point", "shape": "diamond", "size": 36, "fill": PAPER, "stroke": FAINT, "opacity": 1},
            "encoding": {**y, "x": {**x, "field": "published"}, "tooltip": ABOUT},
        },
        {
            "data": {"values": seeds},
            "mark": {**point, "size": 14, "strokeWidth": 0, "yOffset": 6, "color": FAINT},
            "encoding": {**y, "x": x, "tooltip": ABOUT},
        },
        {
            "transform": drawn,
            "mark": {**point, "size": 70},
            "encoding": {**y, "x": x, "fill": color, "tooltip": ABOUT},
        },
        {
            "mark": {
                "type": "text", "align": "right", "x": -8, "limit": {"expr": "narrow ? 110 : 190"},
                "text": {"expr": "datum.name"},
                "fontWeight": {"expr": "datum.heading ? 'bold' : 'normal'"},
            },
            "encoding": {**y, "tooltip": ABOUT},
        },
        {
            "transform": drawn,
            "mark": {
                "type": "text", "align": "left", "x": {"expr": "width + (narrow ? 0 : 10)"},
                "text": {"expr": "narrow ? '' : datum.text"}, "color": FAINT,
            },
            "encoding": y,
        },
    ]  # fmt: skip
    if lines:  # Vega complains of layers without rows
        span_of_rows = {"y": row(len(rows), bandPosition=0), "y2": {"field": "last", "bandPosition": 1}}
        layers.insert(
            0,
            {
                "data": {"values": lines},
                "mark": {"type": "rule", "strokeDash": [4, 3], "strokeWidth": 1.2, "color": INK},
                "encoding": {**span_of_rows, "x": x, "tooltip": ABOUT},
            },
        )
    return figure(rows, layers, height={"step": _STEP})


def _row(index: int, cell: Cell, arena: Arena) -> dict[str, Any]:
    digits, ends = arena.digits, cell.interval
    assert ends is not None
    beside = published(cell.entry)
    lines = [f"{cell.entry.label} on {cell.task.title}", f"{score(cell, digits)} % {span(ends, digits)}"]
    lines += [f"not above {what}, {number(value, digits)} %" for value, what in cell.floors_not_beaten]
    for each in beside:
        value = each.scores[cell.task.name]
        lines.append(f"published, {each.source}: {'fail' if value is None else number(value, 2)}")
    return {
        "row": index,
        "name": cell.entry.label,
        "heading": False,
        "value": cell.mean,
        "low": ends.low,
        "high": ends.high,
        "text": f"{score(cell, digits)}  {span(ends, digits)}",
        "low_floor": bool(cell.floors_not_beaten),
        "published": beside[0].scores[cell.task.name] if beside else None,
        "about": tooltip(lines),
    }


def _seed(row_index: int, cell: Cell, index: int, arena: Arena) -> dict[str, Any]:
    value = cell.scores[index]
    about = [f"{cell.entry.label}, seed {cell.runs[index].settings['seed']}", with_unit(value, arena.digits, "%")]
    return {"row": row_index, "value": value, "about": tooltip(about)}
