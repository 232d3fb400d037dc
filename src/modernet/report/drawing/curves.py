"""Learning curves."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from modernet.records import Metric, Record
from modernet.report.drawing.axes import log_ticks
from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, tooltip
from modernet.report.drawing.lines import PICKED, line_encoding
from modernet.report.drawing.theme import ramp
from modernet.report.notation import axis_title
from modernet.report.section import Chart, Curves


def learning_curves(lines: Mapping[str, Sequence[Record]], metric: Metric, *, averaged: bool) -> Curves | None:
    """Return curves of the training loss and of a metric on the validation split; None if no run has a history.

    Args:
        lines: label of each line -> its runs.
        averaged: whether a line is the mean over several runs.
    """
    over = ", averaged over seeds" if averaged else ""
    colors = ramp(len(lines))
    loss = curves(lines, "train_loss", "training loss", colors, logarithmic=True)
    score = curves(lines, f"validation_{metric.name}", axis_title(metric, "validation"), colors)
    captions = (f"Training loss by epoch{over}.", f"Validation {metric.title} by epoch{over}.")
    charts = [Chart(caption, spec) for caption, spec in zip(captions, (loss, score), strict=True) if spec is not None]
    return Curves(list(zip(lines, colors, strict=True)), charts) if charts else None


def curves(
    lines: Mapping[str, Sequence[Record]], column: str, title: str, colors: Sequence[str], *, logarithmic: bool = False
) -> Spec | None:
    """Draw one curve per line, averaged over its runs epoch by epoch; None if no run has the column.

    Args:
        lines: label of each line -> its runs.
        column: of the history, such as `"train_loss"`.
        title: of the vertical axis, with its unit.
        colors: of each line.
        logarithmic: scale of the vertical axis, if all values are positive.
    """
    rows: list[dict[str, Any]] = [
        {"line": index, "epoch": epoch, "value": value, "about": tooltip([name, f"epoch {epoch:g}: {value:.4g}"])}
        for index, (name, runs) in enumerate(lines.items())
        for epoch, value in averaged(runs, column).items()
    ]
    if not rows:
        return None
    low, high = (end(row["value"] for row in rows) for end in (min, max))
    scale: Spec = {"zero": False}
    axis: Spec = {"tickCount": 5, "format": ",~r"}
    if logarithmic and low > 0:
        scale = {"type": "log", "nice": False}
        axis = {"values": log_ticks(low, high), "format": ",~r"}
    lengths = [len(averaged(runs, column)) for runs in lines.values()]
    encoding = {
        "x": quantitative("epoch", "epoch", axis={"tickMinStep": 1, "grid": False}),
        "y": quantitative("value", title, scale=scale, axis=axis),
        **line_encoding(colors),
    }
    points = {"type": "point", "filled": True, "size": 40} if min(lengths) < 2 else None
    hover = {"mark": {"type": "point", "size": 90, "opacity": 0, "filled": True}}
    layers: list[Spec] = [
        {"mark": {"type": "line", "strokeWidth": 1.8, "clip": True}, "encoding": encoding},
        *([{"mark": points, "encoding": encoding}] if points else []),
        {**hover, "encoding": {"x": encoding["x"], "y": encoding["y"], "tooltip": ABOUT}},
    ]
    return figure(rows, layers, height=270, params=PICKED)


def averaged(runs: Sequence[Record], column: str) -> dict[float, float]:
    """Return the mean of a column of the history over the runs that have it, by epoch."""
    by_epoch: dict[float, list[float]] = {}
    for run in runs:
        for row in run.history:
            value = row.get(column)
            if value is not None and math.isfinite(value):
                by_epoch.setdefault(row["epoch"], []).append(value)
    return {epoch: statistics.mean(values) for epoch, values in sorted(by_epoch.items())}
