"""The page's interactive charts, as plotly's own JSON: plain dicts, drawn by plotly.js in the browser.

Text from records is escaped, because plotly reads a few HTML tags in its labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from modernet.report.drawing.figure_style import (
    BAR,
    CLEAR,
    DOT,
    EDGE,
    FAINT,
    INK,
    MACS,
    PAPER,
    SIDE,
    Figure,
    new_axis,
    new_layout,
    plain,
    shared_labels,
)
from modernet.report.notation import number, quantity, signed
from modernet.report.road.chart import accuracy_limits, shown_values
from modernet.report.road.summary import Road, RoadStep
from modernet.report.road.wording import difference, mean_and_std


def road_figure(road: Road) -> Figure:
    """Bars of mean test top-1 with whiskers and seeds, and the paper's values on an axis of their own."""
    start, end = accuracy_limits(shown_values(road))
    rows = list(range(len(road.steps)))
    measured = [(y, step) for y, step in zip(rows, road.steps, strict=True) if step.test_mean is not None]
    published = [(y, step) for y, step in zip(rows, road.steps, strict=True) if step.published_top1 is not None]
    traces: list[dict[str, Any]] = []
    for name, side in (("adopted step", False), ("tried, not adopted", True)):
        chosen = [(y, step) for y, step in measured if step.side_step is side]
        if chosen:
            traces.append(_bars(name, chosen, road, start, faint=side))
    traces.append(
        {
            "type": "scatter", "mode": "markers", "name": "one seed", "hoverinfo": "skip",
            "x": [top1 for _, step in measured for top1 in step.test_scores],
            "y": [y for y, step in measured for _ in step.test_scores],
            "marker": {"size": 6, "color": DOT, "line": {"color": PAPER, "width": 1}},
        }
    )  # fmt: skip
    layout = new_layout(height=150 + 30 * len(rows))
    layout |= {
        "barmode": "overlay",
        # below the axis, because the paper's axis is above
        "legend": layout["legend"] | {"y": -48 / (30 * len(rows)), "yanchor": "top"},
        "margin": {"l": 8, "r": 12, "t": 46 if published else 8, "b": 40},
        "xaxis": new_axis("test top-1, %") | {"range": [start, end]},
        "yaxis": new_axis() | {
            "range": [len(rows) - 0.4, -0.6], "tickvals": rows, "showgrid": False, "automargin": True,
            "ticktext": [plain(step.title) for step in road.steps], "tickfont": {"color": INK, "size": 11},
        },
        "annotations": [_failed(y, step) for y, step in zip(rows, road.steps, strict=True) if step.test_mean is None],
    }  # fmt: skip
    if published:
        values = [step.published_top1 for _, step in published if step.published_top1 is not None]
        traces.append(
            {
                "type": "scatter", "mode": "markers", "name": "paper, ImageNet-1K (axis above)", "xaxis": "x2",
                "x": values, "y": [y + 0.22 for y, _ in published], "hoverinfo": "skip",
                "marker": {"symbol": "diamond", "size": 6, "color": PAPER, "line": {"color": FAINT, "width": 1}},
            }
        )  # fmt: skip
        layout["xaxis2"] = new_axis("paper, ImageNet-1K top-1, %") | {
            "overlaying": "x", "side": "top", "showgrid": False, "range": list(accuracy_limits(values)),
            "tickmode": "auto", "tickfont": {"color": FAINT, "size": 10},
        }  # fmt: skip
    return {"data": traces, "layout": layout}


def _bars(
    name: str, chosen: Sequence[tuple[int, RoadStep]], road: Road, start: float, *, faint: bool
) -> dict[str, Any]:
    return {
        "type": "bar",
        "orientation": "h",
        "name": name,
        "base": start,
        "x": [step.test_mean - start for _, step in chosen if step.test_mean is not None],
        "y": [y for y, _ in chosen],
        "width": 0.68,
        "hovertext": [_about(step, road) for _, step in chosen],
        "hoverinfo": "text",
        "text": [number(step.test_mean, road.digits) for _, step in chosen],
        "textposition": "inside",
        "insidetextanchor": "start",
        "textfont": {"color": INK, "size": 11},
        "error_x": {
            "array": [step.test_std or 0 for _, step in chosen], "color": INK, "thickness": 1.2, "width": 3,
        },
        "marker": {
            "color": SIDE if faint else BAR,
            "line": {"color": EDGE, "width": 0.6},
            "pattern": {"shape": "/" if faint else "", "fgcolor": EDGE, "bgcolor": SIDE, "size": 6, "solidity": 0.15},
        },
    }  # fmt: skip


def _failed(y: int, step: RoadStep) -> dict[str, Any]:
    return {
        "text": "failed" if step.errors else "no finished run",
        "x": 0.01, "xref": "x domain", "xanchor": "left", "y": y, "showarrow": False,
        "font": {"color": CLEAR, "size": 12},
        "hovertext": "<br>".join(plain(error) for error in step.errors),
    }  # fmt: skip


def _about(step: RoadStep, road: Road) -> str:
    """What a pointer over a step shows."""
    digits = road.digits
    seeds = ", ".join(f"{run.settings.get('seed')}: {number(run.score('test'), digits)}" for run in step.runs)
    lines = [
        f"<b>{plain(step.row)} {plain(step.title)}</b>",
        f"test top-1 {mean_and_std(step, digits)} %",
        f"seeds {plain(seeds)}",
    ]
    if step.delta is not None:
        lines.append(f"against {plain(str(step.against))}: {difference(step, digits)}")
    lines.append(f"{quantity(step.macs)} MACs, {quantity(step.params)} parameters")
    if step.published_top1 is not None:
        change = "" if step.published_delta is None else f" ({signed(step.published_delta, 2)})"
        lines.append(f"paper {number(step.published_top1, 2)} %{change}")
    lines += [f"failed: {plain(error)}" for error in dict.fromkeys(step.errors)]
    return "<br>".join(lines)


def cost_figure(road: Road) -> Figure:
    """Mean test top-1 against MACs: the road as a path, side steps as open points beside it."""
    traces = []
    for side in (False, True):
        chosen = [
            step
            for step in road.steps
            if step.side_step is side and step.macs is not None and step.test_mean is not None
        ]
        traces.append(
            {
                "type": "scatter", "mode": "markers+text" if side else "lines+markers+text",
                "name": "tried, not adopted" if side else "adopted step",
                "x": [step.macs for step in chosen], "y": [step.test_mean for step in chosen],
                "text": shared_labels(
                    [(step.macs or 0, step.test_mean or 0.0) for step in chosen], [step.row for step in chosen]
                ),
                "textposition": "middle right",
                "textfont": {"size": 10, "color": FAINT},
                "hovertext": [_about(step, road) for step in chosen], "hoverinfo": "text",
                "error_y": {
                    "array": [step.test_std or 0 for step in chosen], "color": FAINT, "thickness": 1, "width": 2,
                },
                "line": {"color": FAINT, "width": 0.7},
                "marker": {
                    "size": 8, "symbol": "circle-open" if side else "circle", "color": EDGE if side else MACS,
                    "line": {"width": 1.5 if side else 0},
                },
            }
        )  # fmt: skip
    layout = new_layout(height=360) | {
        "xaxis": new_axis("MACs of one picture") | {"tickformat": "~s"},
        "yaxis": new_axis("test top-1, %") | {"automargin": True},
    }
    return {"data": [trace for trace in traces if trace["x"]], "layout": layout}
