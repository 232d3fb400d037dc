"""Describe charts in Vega-Lite, and compile them to the Vega that pages and PNG files draw.

A chart is described once, as a dict, and drawn by Vega in both: in the browser by its JavaScript, for PNG files by
vl-convert, which runs the same JavaScript without a browser. Texts from records are data of a chart, never expressions,
and Vega draws text as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from modernet.report.drawing.theme import FAINT, INK, RULE

Spec = dict[str, Any]
"""Vega-Lite's or Vega's JSON."""

WIDTH = 900
"""Pixels: the width of PNG files, and of charts on the page before the script fits them to the window."""

_CONFIG: Spec = {
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "domainColor": RULE,
        "gridColor": RULE,
        "tickColor": RULE,
        "labelColor": FAINT,
        "labelFontSize": 11,
        "labelPadding": 6,
        "titleColor": FAINT,
        "titleFontSize": 12,
        "titleFontWeight": "normal",
        "titlePadding": 8,
    },
    "legend": {"labelColor": FAINT, "labelFontSize": 11, "symbolStrokeWidth": 1.2, "title": None},
    "text": {"color": INK, "fontSize": 12, "baseline": "middle"},
}


def figure(
    data: Sequence[Mapping[str, Any]],
    layers: Sequence[Spec],
    *,
    height: int | Spec,
    params: Mapping[str, Any] | None = None,
    labels: Spec | None = None,
    **properties: Any,
) -> Spec:
    """Compile a layered chart to Vega.

    Its width fits the page. The parameter `narrow` is true on phones, for expressions that leave something out there.

    Args:
        data: rows that the layers draw; layers may have data of their own.
        layers: Vega-Lite layers.
        height: of the plot in pixels, or `{"step": pixels}` per row.
        params: further parameters with their values.
        labels: labels of points, from `point_labels`.
        properties: further properties of the Vega-Lite specification, such as `resolve`.
    """
    import vl_convert

    spec: Spec = {
        "$schema": "https://vega.github.io/schema/vega-lite/v6.json",
        "config": _CONFIG,
        "width": WIDTH,
        "height": height,
        "autosize": {"type": "fit-x", "contains": "padding"},
        "padding": {"left": 2, "right": 4, "top": 4, "bottom": 4},
        "params": [{"name": name, "value": value} for name, value in {"narrow": False, **(params or {})}.items()],
        "data": {"values": list(data)},
        "layer": list(layers),
        **properties,
    }
    compiled: Spec = vl_convert.vegalite_to_vega(spec)
    if labels is not None:
        compiled["data"].append(labels["data"])
        compiled["marks"].append(labels["mark"])
    return compiled


def quantitative(field: str, title: str | None = None, **properties: Any) -> Spec:
    """Return the encoding of a number; `title` is that of its axis, with its unit."""
    axis = {"title": title, **properties.pop("axis", {})}
    return {"field": field, "type": "quantitative", "axis": axis, **properties}


def row(count: int, **properties: Any) -> Spec:
    """Return the encoding of a vertical position by `row`, an index below `count`; names of rows are drawn as text."""
    scale = {"domain": list(range(count)), "padding": 0}
    return {"field": "row", "type": "ordinal", "axis": None, "scale": scale, **properties}


def tooltip(lines: Sequence[str]) -> str:
    """Join the lines of a tooltip for the field `about`; the page shows the first in bold."""
    return "\n".join(lines)


ABOUT: Spec = {"field": "about", "type": "nominal"}
"""The encoding of tooltips."""
