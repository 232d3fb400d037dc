"""The page's interactive charts of a benchmark, as plotly's own JSON."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from modernet.records import Record
from modernet.report.benchmark.case import BenchmarkCase
from modernet.report.benchmark.chart import mark_area, speed_limits, speed_ticks
from modernet.report.benchmark.summary import (
    GROUPED_BY,
    Benchmark,
    accuracy_marks,
    is_baseline,
    model_of,
    quartiles,
    speed_of,
)
from modernet.report.benchmark.wording import case_names
from modernet.report.drawing.figure_style import (
    BAR,
    CLEAR,
    EDGE,
    INK,
    Figure,
    new_axis,
    new_layout,
    plain,
    shared_labels,
)
from modernet.report.notation import measured, number, quantity

_ROW = 44  # pixels: a name, and a bar below it


def speed_figure(benchmark: Benchmark, cases: Mapping[int, Record]) -> Figure:
    """A bar of images a second for each case of a group; names stand above the bars, which suits phones too."""
    all_names = case_names(benchmark, GROUPED_BY)
    names = [f"{row} {all_names[row - 1]}" for row in cases]
    done = [(y, case) for y, case in enumerate(cases.values()) if speed_of(case) is not None]
    bars = {
        "type": "bar", "orientation": "h", "width": 0.42,
        "x": [case.metrics["images_per_second"] for _, case in done], "y": [y + 0.14 for y, _ in done],
        "error_x": _whiskers([case for _, case in done]) | {"width": 3},
        "text": [measured(speed_of(case)) for _, case in done],
        "textposition": "inside", "insidetextanchor": "start", "textfont": {"color": INK, "size": 11},
        "hovertext": [_about(names[y], case) for y, case in done], "hoverinfo": "text",
        "marker": {"color": BAR, "line": {"color": EDGE, "width": 0.6}},
    }  # fmt: skip
    notes = [_beside_axis(plain(name), y - 0.28, INK) for y, name in enumerate(names)]
    notes += [
        _beside_axis("failed", y + 0.14, CLEAR) | {"hovertext": plain(case.error or "")}
        for y, case in enumerate(cases.values())
        if speed_of(case) is None
    ]
    layout = new_layout(height=60 + _ROW * len(names)) | {
        "xaxis": new_axis("images/s") | {"rangemode": "tozero"},
        "yaxis": new_axis() | {"range": [len(names) - 0.5, -0.6], "showgrid": False, "showticklabels": False},
        "annotations": notes,
        "showlegend": False,
    }
    return {"data": [bars], "layout": layout}


def accuracy_figure(cases: Mapping[int, Record]) -> Figure:
    """Published top-1 against images a second for the cases of a group, numbered by their rows.

    Without any data where `accuracy_marks` has none.
    """
    marks = accuracy_marks(cases)
    if not marks:
        return {"data": [], "layout": {}}
    speeds = [case.metrics["images_per_second"] for case in marks.values()]
    top1 = [case.metrics["top1"] for case in marks.values()]
    places = [(math.log(speed), accuracy) for speed, accuracy in zip(speeds, top1, strict=True)]
    low, high = speed_limits(marks.values())
    most = max(case.metrics.get("params", 0.0) for case in marks.values())
    ticks = speed_ticks(low, high)
    points = {
        "type": "scatter", "mode": "markers+text", "x": speeds, "y": top1,
        "error_x": _whiskers(marks.values()) | {"width": 0},
        "text": shared_labels(places, [str(row) for row in marks]),
        "textposition": "top right", "textfont": {"size": 11, "color": INK}, "cliponaxis": False,
        "hovertext": [_about(f"{row} {model_of(case)}", case) for row, case in marks.items()], "hoverinfo": "text",
        "marker": {
            "size": [2 * math.sqrt(mark_area(case, most) / math.pi) for case in marks.values()],
            "color": BAR, "opacity": 1, "line": {"color": EDGE, "width": 1},
        },
    }  # fmt: skip
    layout = new_layout(height=360) | {
        "xaxis": new_axis("images/s, logarithmic") | {
            "type": "log", "range": [math.log10(low), math.log10(high)],
            "tickvals": ticks, "ticktext": [f"{tick:,.10g}" for tick in ticks],
        },
        "yaxis": new_axis("published ImageNet-1K top-1, %") | {"automargin": True},
        "showlegend": False,
    }  # fmt: skip
    return {"data": [points], "layout": layout}


def _whiskers(cases: Collection[Record]) -> Figure:
    spans = [quartiles(case) for case in cases]
    return {
        "array": [high - median for _, median, high in spans],
        "arrayminus": [median - low for low, median, _ in spans],
        "symmetric": False, "color": INK, "thickness": 1.2,
    }  # fmt: skip


def _beside_axis(text: str, y: float, color: str) -> Figure:
    return {
        "text": text, "x": 0, "xref": "x domain", "xanchor": "left", "y": y, "showarrow": False,
        "font": {"color": color, "size": 11},
    }  # fmt: skip


def _about(name: str, case: Record) -> str:
    """What a pointer over a case shows."""
    low, median, high = quartiles(case)
    metrics = case.metrics
    lines = [
        f"<b>{plain(name)}</b>",
        f"{measured(median)} images/s, quartiles {measured(low, median)} to {measured(high, median)}",
    ]
    if "latency_ms" in metrics:
        lines.append(f"{measured(metrics['latency_ms'])} ms a batch of {BenchmarkCase.from_record(case).batch}")
    if "ratio" in metrics and not is_baseline(case):
        lines.append(
            f"{measured(metrics['ratio'])} times as fast as {plain(str(BenchmarkCase.from_record(case).ratio_to))}"
        )
    if "params" in metrics or "macs" in metrics:
        lines.append(f"{quantity(metrics.get('macs'))} MACs, {quantity(metrics.get('params'))} parameters")
    if "top1" in metrics:
        lines.append(f"published top-1 {number(metrics['top1'], 1)} %")
    return "<br>".join(lines)
