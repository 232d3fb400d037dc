"""Precision-recall curves of a run: lines for the worst classes, and for the mean of all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, tooltip
from modernet.report.drawing.lines import PICKED, line_encoding
from modernet.report.drawing.theme import ramp
from modernet.report.section import Chart, Curves

_MEAN = "all classes"  # name of the line without a class


def precision_recall_curves(curves: Sequence[Mapping[str, Any]]) -> Curves:
    """Draw a chart for each IoU.

    Args:
        curves: as in a record's `details`.
    """
    lines = list(dict.fromkeys(curve["class"] for curve in curves))
    colors = ramp(len(lines))
    charts = [
        Chart(f"Precision by recall at an IoU of {iou:g}, {_described(curves)}.", _chart(chosen, lines, colors))
        for iou in sorted({curve["iou"] for curve in curves})
        if (chosen := [curve for curve in curves if curve["iou"] == iou])
    ]
    return Curves(list(zip(map(_name, lines), colors, strict=True)), charts)


def _described(curves: Sequence[Mapping[str, Any]]) -> str:
    """Return what the lines are; a mean says of how many classes it is."""
    shown = len({curve["class"] for curve in curves} - {None})
    total = next((curve["classes"] for curve in curves if curve["class"] is None), None)
    if total is None:
        return "a line for each class"
    which = "each class" if total == shown else f"each of the {shown} classes of {total} with the lowest AP"
    return f"a line for {which}, the thick one for the mean of all"


def _name(line: str | None) -> str:
    return _MEAN if line is None else line


def _chart(curves: Sequence[Mapping[str, Any]], lines: Sequence[str | None], colors: Sequence[str]) -> Spec:
    rows: list[dict[str, Any]] = [
        {
            "line": lines.index(curve["class"]),
            "mean": curve["class"] is None,
            "recall": recall,
            "precision": precision,
            "about": tooltip(
                [_name(curve["class"]), f"recall {100 * recall:.0f} %: precision {100 * precision:.0f} %"]
            ),
        }
        for curve in curves
        for recall, precision in _corners(curve["precision"])
    ]
    scale = {"domain": [0, 1], "nice": False}
    axis = {"format": ".0%", "tickCount": 5}
    encoding = {
        "x": quantitative("recall", "recall", scale=scale, axis=axis),
        "y": quantitative("precision", "precision", scale=scale, axis=axis),
        **line_encoding(colors),
    }
    width = {"condition": {"test": "datum.mean", "value": 4}, "value": 1.6}
    hover = {"x": encoding["x"], "y": encoding["y"], "tooltip": ABOUT}
    layers: list[Spec] = [
        {"mark": "line", "encoding": {**encoding, "order": {"field": "recall"}, "strokeWidth": width}},
        {"mark": {"type": "point", "size": 90, "opacity": 0, "filled": True}, "encoding": hover},
    ]
    return figure(rows, layers, height=300, params=PICKED)


def _corners(precision: Sequence[float]) -> list[tuple[float, float]]:
    """Return recall and precision of the points of a curve, whose recalls are even steps from 0 to 1; without those
    between two of their own precision, most of a hundred.
    """
    last = len(precision) - 1
    return [
        (index / last, value)
        for index, value in enumerate(precision)
        if index in (0, last) or not precision[index - 1] == value == precision[index + 1]
    ]
