"""The chart of a factorial study: a point per effect, decisions above, interactions below."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, row, tooltip
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.theme import CLEAR, DOT, FAINT, INK, PAPER
from modernet.report.factorial.summary import Factorial
from modernet.report.factorial.tables import conditions, effect_rows
from modernet.report.notation import points

_STEP = 22  # pixels per row


def write_factorial_png(study: Factorial, path: Path) -> None:
    """Write the chart of a study as a PNG; without effects, the sentence that says so."""
    chart = effects_chart(study)
    panels = [Panel(chart, notes=notes(study))] if chart is not None else []
    empty = "" if panels else " · no effects yet: networks are missing"
    write_png(path, f"Decisions of the road together, on {study.data}", conditions(study) + empty, panels)


def notes(study: Factorial) -> list[str]:
    """Return what the marks of the chart mean."""
    lines = [
        "Point: effect of a decision, or of an interaction (×). Line: 95 % interval over seeds.",
        "* The interval excludes zero; ** also when all effects are judged together (Holm).",
    ]
    if any(effect.aliases for effect in effect_rows(study)):
        lines[1] += " … Indistinguishable from another interaction with these networks: see the table."
    return lines


def effects_chart(study: Factorial) -> Spec | None:
    """Draw effects as points with their intervals; None if there are none.

    An aliased effect has the first of its names, with an ellipsis; the table has them all.
    """
    if study.effects is None:
        return None
    rows: list[dict[str, Any]] = []
    for effect, texts in zip(study.effects.effects, effect_rows(study), strict=True):
        if rows and rows[-1]["main"] and not effect.is_main:
            rows.append({"row": len(rows), "main": False})  # an empty row between decisions and interactions
        about = [texts.title, f"{texts.value} {texts.interval}", *([texts.aliases] if texts.aliases else [])]
        rows.append(
            {
                "row": len(rows),
                "main": effect.is_main,
                "name": texts.title + (" …" if texts.aliases else ""),
                "value": effect.value,
                "low": effect.interval and effect.interval.low,
                "high": effect.interval and effect.interval.high,
                "text": f"{texts.value}  {texts.interval}",
                "clear": effect.excludes_zero,
                "holds": effect.holds_among_all,
                "about": tooltip(about),
            }
        )
    unit = points(study.metric)
    x = quantitative("value", f"effect on test {study.metric.title}{unit and f', {unit}'}", axis={"tickCount": 7})
    drawn = [{"filter": "isValid(datum.value)"}]
    color = {"condition": {"test": "datum.clear", "value": CLEAR}, "value": DOT}
    text_color = {"condition": {"test": "datum.clear", "value": CLEAR}, "value": FAINT}
    weight = {"expr": "datum.holds ? 'bold' : 'normal'"}
    values = {
        "type": "text",
        "align": "left",
        "x": {"expr": "width + (narrow ? 0 : 10)"},
        "text": {"expr": "narrow ? '' : datum.text"},
    }
    layers: list[Spec] = [
        {"data": {"values": [{"value": 0}]}, "mark": {"type": "rule", "color": INK}, "encoding": {"x": x}},
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 1.8},
            "encoding": {"y": row(len(rows)), "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": color},
        },
        {
            "transform": drawn,
            "mark": {"type": "point", "filled": True, "size": 60, "opacity": 1, "stroke": PAPER, "strokeWidth": 1},
            "encoding": {"y": row(len(rows)), "x": x, "fill": color, "tooltip": ABOUT},
        },
        {
            "transform": drawn,
            "mark": {
                "type": "text", "align": "right", "x": -8, "limit": {"expr": "narrow ? 150 : 330"},
                "text": {"expr": "datum.name"},
            },
            "encoding": {"y": row(len(rows)), "tooltip": ABOUT},
        },
        {
            "transform": drawn,
            "mark": {**values, "fontWeight": weight},
            "encoding": {"y": row(len(rows)), "color": text_color},
        },
    ]  # fmt: skip
    return figure(rows, layers, height={"step": _STEP})
