"""Labels of points, placed where they overlap nothing.

Vega-Lite does not offer Vega's label transform, so labels are a mark of Vega that `figure` adds to a compiled chart.
Without a canvas, as in vl-convert, the transform avoids other labels and the centres of all items, but no other marks.
So the outlines of points and their whiskers take part as items without text, after the labels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from modernet.report.drawing.figure import Spec
from modernet.report.drawing.theme import INK

BESIDE = ("right", "left", "top-right", "bottom-right", "top-left", "bottom-left", "top", "bottom")
ABOVE = ("top", "bottom", "top-right", "bottom-right", "top-left", "bottom-left", "right", "left")
"""Positions in order of preference: away from vertical whiskers (`BESIDE`), or from horizontal ones (`ABOVE`)."""

_OFFSETS = (8, 11, 14, 18, 23, 29)  # pixels from the centre of a point
_LIMIT = "narrow ? 110 : 300"  # pixels; longer labels end in an ellipsis
_OUTLINE = 12  # items around a point; closer together than a label is high


@dataclass(frozen=True)
class LabelledPoint:
    """A point of a chart in the units of its axes.

    Attributes:
        diameter: of its mark in pixels.
        whisker: places along its whisker.
    """

    x: float
    y: float
    text: str
    diameter: float
    whisker: Sequence[tuple[float, float]] = ()


def point_labels(points: Sequence[LabelledPoint], anchors: Sequence[str], *, size: int = 11, color: str = INK) -> Spec:
    """Return labels for `figure`; a label without room is left out, and a long one cut, so tooltips should
    repeat it.
    """
    labels = [{"x": point.x, "y": point.y, "dx": 0, "dy": 0, "text": point.text} for point in points]
    obstacles = [
        {"x": x, "y": y, "dx": dx, "dy": dy, "text": ""} for point in points for x, y, dx, dy in _obstacles(point)
    ]
    enter = {"text": {"field": "text"}, "fontSize": {"value": size}, "fill": {"value": color}}
    update: Spec = {name: {"scale": name, "field": name, "offset": {"field": f"d{name}"}} for name in ("x", "y")}
    update["limit"] = {"signal": _LIMIT}  # the plot shrinks to make room for a label beyond its edge
    place = {
        "type": "label",
        "size": {"signal": "[width, height]"},
        "anchor": [*anchors] * len(_OFFSETS),
        "offset": [offset for offset in _OFFSETS for _ in anchors],
    }
    mark = {
        "type": "text",
        "name": "point_labels",
        "interactive": False,
        "from": {"data": "point_labels_data"},
        "encode": {"enter": enter, "update": update},
        "transform": [place],
    }
    return {"data": {"name": "point_labels_data", "values": [*labels, *obstacles]}, "mark": mark}


def _obstacles(point: LabelledPoint) -> list[tuple[float, float, float, float]]:
    """Return the outline and the whisker of a point: x and y in units of the axes, and offsets in pixels."""
    angles = [2 * math.pi * index / _OUTLINE for index in range(_OUTLINE)]
    radius = point.diameter / 2
    outline = [(point.x, point.y, radius * math.cos(angle), radius * math.sin(angle)) for angle in angles]
    return [*outline, *((x, y, 0.0, 0.0) for x, y in point.whisker)]
