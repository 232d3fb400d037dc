"""What the page's interactive charts share: colours for both themes, layout, axes.

A colour is written `light-dark(LIGHT, DARK)`, as in CSS; the page's script picks one when it draws.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

Figure = dict[str, Any]  # plotly's own JSON

INK = "light-dark(#1b1f24, #e8eaed)"
FAINT = "light-dark(#646c76, #9aa3ad)"
RULE = "light-dark(#e1e4e8, #333a43)"
PAPER = "light-dark(#ffffff, #161a20)"
BAR = "light-dark(#8fb8de, #35608c)"
SIDE = "light-dark(#dbe8f4, #22384f)"
EDGE = "light-dark(#5b8fc2, #6fa3d4)"
DOT = "light-dark(#0b3c6b, #cfe4f8)"
CLEAR = "light-dark(#b3500b, #f0a35e)"
MACS = "light-dark(#3c7d5a, #7cc79d)"


def plain(text: str) -> str:
    """Text that plotly shows as it is; it knows tags and a few entities, and `&quot;` is not among them."""
    return escape(text, quote=False)


def new_layout(height: int) -> Figure:
    """The layout of a chart `height` pixels high: its ground is the page's, and nothing is dragged."""
    return {
        "height": height,
        "margin": {"l": 8, "r": 12, "t": 8, "b": 40},
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"color": INK, "family": "system-ui, sans-serif", "size": 12},
        "hoverlabel": {"bgcolor": PAPER, "bordercolor": EDGE, "font": {"color": INK, "size": 12}, "align": "left"},
        "legend": {"orientation": "h", "y": 1, "yanchor": "bottom", "x": 0, "font": {"color": FAINT, "size": 11}},
        "dragmode": False,
    }


def new_axis(title: str = "") -> Figure:
    """An axis in faint ink; `title` says what it measures, with its unit."""
    return {
        "title": {"text": title, "font": {"color": FAINT, "size": 12}, "standoff": 8},
        "gridcolor": RULE,
        "linecolor": RULE,
        "tickfont": {"color": FAINT, "size": 11},
        "zeroline": False,
        "fixedrange": True,  # a finger that scrolls the page must not zoom the chart
    }


def shared_labels(places: Sequence[tuple[float, float]], names: Sequence[str]) -> list[str]:
    """A label for each mark; marks that would lie on one another share one, which the first of them carries."""
    if not places:
        return []
    reach = [0.02 * (max(axis) - min(axis)) for axis in zip(*places, strict=True)]
    labels: list[list[str]] = []
    for i, name in enumerate(names):
        labels.append([])
        near = (j for j in range(i) if labels[j] and all(abs(places[i][k] - places[j][k]) <= reach[k] for k in (0, 1)))
        labels[next(near, i)].append(plain(name))
    return [f"\N{NO-BREAK SPACE}{', '.join(label)}" if label else "" for label in labels]
