"""Learning curves for the page, as plotly's JSON."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from modernet.records import Metric, Record
from modernet.report.drawing.figure_style import Figure, new_axis, new_layout, plain
from modernet.report.notation import axis_title
from modernet.report.section import Chart, Curves

# Stops of a ramp that grows evenly in lightness, so that the order of the lines is seen without telling hues apart.
_RAMP_LIGHT = ("#33105e", "#2f5d9e", "#1f8f8a", "#5aa83a", "#d49a00")
_RAMP_DARK = ("#8d7be0", "#5b9be0", "#35b5ac", "#9ccf5c", "#ffd75e")


def learning_curves(lines: Mapping[str, Sequence[Record]], metric: Metric, *, averaged: bool) -> Curves | None:
    """Return curves of the training loss and of a metric on the validation split; None if no run has a history.

    Args:
        lines: label of each line -> its runs.
        averaged: whether a line is the mean over several runs.
    """
    over = ", averaged over seeds" if averaged else ""
    loss = curves_figure(lines, "train_loss", "training loss", logarithmic=True)
    score = curves_figure(lines, f"validation_{metric.name}", axis_title(metric, "validation"))
    charts = [Chart(f"Training loss by epoch{over}.", loss), Chart(f"Validation {metric.title} by epoch{over}.", score)]
    drawn = [chart for chart in charts if any(trace["x"] for trace in chart.figure["data"])]
    return Curves(list(zip(lines, ramp(len(lines)), strict=True)), drawn) if drawn else None


def ramp(count: int) -> list[str]:
    """`count` colours from the first line to the last, dark to light, each for both themes."""
    places = [0.0 if count == 1 else i / (count - 1) for i in range(count)]
    return [f"light-dark({_between(_RAMP_LIGHT, place)}, {_between(_RAMP_DARK, place)})" for place in places]


def _between(stops: Sequence[str], place: float) -> str:
    left = min(int(place * (len(stops) - 1)), len(stops) - 2)
    share = place * (len(stops) - 1) - left
    channels = []
    for offset in (1, 3, 5):
        low, high = (int(stops[i][offset : offset + 2], 16) for i in (left, left + 1))
        channels.append(round(low + (high - low) * share))
    return "#{:02x}{:02x}{:02x}".format(*channels)


def curves_figure(
    lines: Mapping[str, Sequence[Record]], metric: str, title: str, *, logarithmic: bool = False
) -> Figure:
    """One learning curve a line, averaged over its runs epoch by epoch.

    Args:
        lines: the name of each line and its runs, in order; a line keeps its colour in every chart of the same lines.
        metric: the column of the history, such as `"train_loss"`.
        title: of the vertical axis, with its unit.
        logarithmic: draw the vertical axis in powers; for losses.
    """
    traces = []
    for (name, runs), color in zip(lines.items(), ramp(len(lines)), strict=True):
        curve = averaged(runs, metric)
        traces.append(
            {
                "type": "scatter", "mode": "lines" if len(curve) > 1 else "markers", "name": plain(name),
                "x": list(curve), "y": list(curve.values()), "line": {"color": color, "width": 1.8},
                "marker": {"color": color}, "hovertemplate": "%{fullData.name}<br>epoch %{x}: %{y:.4~g}<extra></extra>",
            }
        )  # fmt: skip
    layout = new_layout(height=320) | {
        "xaxis": new_axis("epoch") | {"rangemode": "tozero"},
        "yaxis": new_axis(title) | {"automargin": True, "type": "log" if logarithmic else "linear"},
    }
    return {"data": traces, "layout": layout | {"showlegend": False}}


def averaged(runs: Sequence[Record], metric: str) -> dict[float, float]:
    """The mean of a metric over the runs that have it, by epoch."""
    by_epoch: dict[float, list[float]] = {}
    for run in runs:
        for row in run.history:
            value = row.get(metric)
            if value is not None and math.isfinite(value):
                by_epoch.setdefault(row["epoch"], []).append(value)
    return {epoch: statistics.mean(values) for epoch, values in sorted(by_epoch.items())}
