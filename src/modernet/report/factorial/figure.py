"""A factorial study as the page's interactive chart, in plotly's JSON."""

from __future__ import annotations

from typing import Any

from modernet.report.drawing.figure_style import CLEAR, DOT, INK, PAPER, Figure, new_axis, new_layout, plain
from modernet.report.factorial.summary import Factorial
from modernet.report.factorial.tables import effect_rows


def factorial_figure(study: Factorial) -> Figure:
    """Effects as dots with their intervals, decisions above, interactions below; no data where there are no effects."""
    effects = study.effects.effects if study.effects else ()
    rows = effect_rows(study)
    mains = sum(effect.is_main for effect in effects)
    heights = [place if effect.is_main else place + 1 for place, effect in enumerate(effects)]
    traces: list[dict[str, Any]] = []
    for name, clear in (("interval excludes zero", True), ("interval includes zero, or none", False)):
        chosen = [place for place, effect in enumerate(effects) if effect.excludes_zero is clear]
        if not chosen:
            continue
        color = CLEAR if clear else DOT
        margins = [effects[place].margin or 0.0 for place in chosen]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": name,
                "x": [effects[place].value for place in chosen], "y": [heights[place] for place in chosen],
                "error_x": {"array": margins, "color": color, "thickness": 1.6, "width": 0},
                "marker": {"size": 8, "color": color, "line": {"color": PAPER, "width": 1}},
                "hoverinfo": "text",
                "hovertext": [
                    f"<b>{plain(rows[place].title)}</b><br>{rows[place].value} {rows[place].interval}"
                    + (f"<br>{plain(rows[place].aliases)}" if rows[place].aliases else "")
                    for place in chosen
                ],
            }
        )  # fmt: skip
    layout = new_layout(height=130 + 24 * (len(effects) + 1))
    layout |= {
        "xaxis": new_axis("effect on test top-1, points")
        | {"zeroline": True, "zerolinecolor": INK, "zerolinewidth": 1},
        "yaxis": new_axis()
        | {
            "range": [len(effects) + 0.6, -0.6], "tickvals": heights, "showgrid": False, "automargin": True,
            "ticktext": [plain(row.title) + (" …" if row.aliases else "") for row in rows],
            "tickfont": {"color": INK, "size": 11},
        },
        "shapes": [],
    }  # fmt: skip
    if 0 < mains < len(effects):
        layout["shapes"] = [
            {
                "type": "line", "xref": "paper", "x0": 0, "x1": 1, "y0": mains, "y1": mains,
                "line": {"color": INK, "width": 0.5, "dash": "dot"},
            }
        ]  # fmt: skip
    return {"data": traces, "layout": layout}
