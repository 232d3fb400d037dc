"""Precision-recall curves of a run: a line for each class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, tooltip
from modernet.report.drawing.theme import ramp
from modernet.report.section import Chart, Curves

_MOST_KEYS = 24  # classes that can be picked; those of more are named by tooltips
_MEAN = "all"  # the curve that is the mean of those of the classes


def precision_recall_curves(curves: Sequence[Mapping[str, Any]]) -> Curves:
    """Draw a chart for each IoU.

    Args:
        curves: as in a record's `details`.
    """
    names = list(dict.fromkeys(curve["class"] for curve in curves))
    colors = ramp(len(names))
    lines = "a line for each class" + (", the thick one for their mean" if _MEAN in names else "")
    charts = [
        Chart(f"Precision by recall at an IoU of {iou:g}, {lines}.", _chart(chosen, names, colors))
        for iou in sorted({curve["iou"] for curve in curves})
        if (chosen := [curve for curve in curves if curve["iou"] == iou])
    ]
    return Curves(list(zip(names, colors, strict=True)) if len(names) <= _MOST_KEYS else [], charts)


def _chart(curves: Sequence[Mapping[str, Any]], names: Sequence[str], colors: Sequence[str]) -> Spec:
    rows: list[dict[str, Any]] = [
        {
            "line": names.index(curve["class"]),
            "mean": curve["class"] == _MEAN,
            "recall": recall,
            "precision": precision,
            "about": tooltip([curve["class"], f"recall {100 * recall:.0f} %: precision {100 * precision:.0f} %"]),
        }
        for curve in curves
        for recall, precision in _corners(curve["recall"], curve["precision"])
    ]
    scale = {"domain": [0, 1], "nice": False}
    axis = {"format": ".0%", "tickCount": 5}
    encoding = {
        "x": quantitative("recall", "recall", scale=scale, axis=axis),
        "y": quantitative("precision", "precision", scale=scale, axis=axis),
        "color": {"field": "line", "type": "nominal", "legend": None}
        | {"scale": {"domain": list(range(len(names))), "range": list(colors)}},
        "opacity": {
            "condition": {"test": "length(picked) == 0 || indexof(picked, datum.line) >= 0", "value": 1},
            "value": 0.12,
        },
    }
    width = {"condition": {"test": "datum.mean", "value": 4}, "value": 1.6}
    hover = {"x": encoding["x"], "y": encoding["y"], "tooltip": ABOUT}
    layers: list[Spec] = [
        {"mark": "line", "encoding": {**encoding, "order": {"field": "recall"}, "strokeWidth": width}},
        {"mark": {"type": "point", "size": 90, "opacity": 0, "filled": True}, "encoding": hover},
    ]
    return figure(rows, layers, height=300, params={"picked": []})


def _corners(recall: Sequence[float], precision: Sequence[float]) -> list[tuple[float, float]]:
    """Return the points of a curve, without those between two of their own precision: most of a hundred."""
    points = list(zip(recall, precision, strict=True))
    last = len(points) - 1
    return [
        point
        for index, point in enumerate(points)
        if index in (0, last) or not points[index - 1][1] == point[1] == points[index + 1][1]
    ]
