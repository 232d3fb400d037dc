"""The charts of a benchmark: bars of speed, and accuracy against speed."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from modernet.records import Record
from modernet.report.benchmark.case import BenchmarkCase
from modernet.report.benchmark.summary import (
    GROUPED_BY,
    Benchmark,
    accuracy_marks,
    accuracy_of,
    fastest_of_each_network,
    is_baseline,
    model_of,
    quartiles,
    speed_of,
)
from modernet.report.benchmark.wording import case_names, conditions, group_label
from modernet.report.drawing.axes import log_ticks
from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, row, tooltip
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.point_labels import ABOVE, LabelledPoint, point_labels
from modernet.report.drawing.theme import BAR, CLEAR, EDGE, INK
from modernet.report.notation import measured, quantity, with_unit

_BAR_STEP = 42  # pixels: a name, and a bar below it
_SCATTER_HEIGHT = 380  # pixels
_LARGEST, _SMALLEST, _UNKNOWN = 460.0, 40.0, 90.0  # areas of points in square pixels


def write_speed_png(benchmark: Benchmark, path: Path) -> None:
    """Write the chart of a benchmark as a PNG: a panel for each mode, dtype and image size.

    A panel is `accuracy_chart`, or `speed_chart` where fewer than two accuracies are published.
    """
    panels = []
    for cases in benchmark.groups:
        heading = group_label(benchmark, cases)
        if (chart := accuracy_chart(cases)) is not None:
            panels.append(Panel(chart, heading, _notes(benchmark, cases)))
        else:
            notes = ["Bar: median over rounds. Whisker: quartiles."]
            panels.append(Panel(speed_chart(benchmark, cases), heading, notes))
    write_png(path, benchmark.title, conditions(benchmark), panels)


def speed_chart(benchmark: Benchmark, cases: Mapping[int, Record]) -> Spec:
    """Draw a bar of examples per second for each case of a group; names are above the bars, which suits phones too."""
    names = case_names(benchmark, GROUPED_BY)
    rows = [_bar(index, number, names[number - 1], case) for index, (number, case) in enumerate(cases.items())]
    highest = max((values["high"] for values in rows if "high" in values), default=1.0)
    x = quantitative(
        "speed", f"{benchmark.unit}/s", scale={"domain": [0, 1.1 * highest], "nice": False}, axis={"tickCount": 6}
    )
    y: Spec = {"y": row(len(rows))}
    finished, failed = [{"filter": "isValid(datum.speed)"}], [{"filter": "!isValid(datum.speed)"}]
    bar = {"type": "bar", "height": 18, "yOffset": 8, "fill": BAR, "stroke": EDGE, "strokeWidth": 0.8}
    whisker = {"color": INK, "yOffset": 8, "opacity": 1}
    text = {"type": "text", "align": "left"}
    ends: list[Spec] = [
        {
            "transform": finished,
            "mark": {"type": "tick", "thickness": 1.2, "size": 9, **whisker},
            "encoding": {**y, "x": {**x, "field": end}},
        }
        for end in ("low", "high")
    ]
    layers: list[Spec] = [
        {
            "name": "bars",
            "transform": finished,
            "mark": bar,
            "encoding": {**y, "x": x, "x2": {"datum": 0}, "tooltip": ABOUT},
        },
        {
            "transform": finished,
            "mark": {"type": "rule", "strokeWidth": 1.2, **whisker},
            "encoding": {**y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
        },
        *ends,
        {
            "transform": finished,
            "mark": {**text, "dx": 7, "yOffset": 8},
            "encoding": {**y, "x": {**x, "field": "high"}, "text": {"field": "label", "type": "nominal"}},
        },
        {
            "mark": {**text, "x": 2, "yOffset": -9, "limit": {"expr": "width"}},
            "encoding": {**y, "text": {"field": "name", "type": "nominal"}, "tooltip": ABOUT},
        },
        {
            "transform": failed,
            "mark": {**text, "x": 2, "yOffset": 8, "text": "failed", "color": CLEAR, "fontStyle": "italic"},
            "encoding": {**y, "tooltip": ABOUT},
        },
    ]
    return figure(rows, layers, height={"step": _BAR_STEP})


def accuracy_chart(cases: Mapping[int, Record]) -> Spec | None:
    """Draw the published accuracy against images per second, for the fastest case of each network of a group.

    The area of a point is in proportion to the parameters. None if `accuracy_marks` is empty.
    """
    marks = accuracy_marks(cases)
    if not marks:
        return None
    most = max(case.metrics.get("params", 0.0) for case in marks.values())
    rows = [_point(number, case, most) for number, case in marks.items()]
    metric = next(iter(marks.values())).primary
    low, high = speed_limits(marks.values())
    ticks = {"values": log_ticks(low, high), "format": ",~r"}
    scale = {"type": "log", "domain": [low, high], "nice": False}
    x = quantitative("speed", "images/s, logarithmic", scale=scale, axis=ticks)
    accuracies = [values["accuracy"] for values in rows]
    margin = max(0.14 * (max(accuracies) - min(accuracies)), 0.01 * abs(max(accuracies)))
    bottom, top = min(accuracies) - margin, max(accuracies) + margin
    least, limit = metric.limits
    domain = [bottom if least is None else max(bottom, least), top if limit is None else min(top, limit)]
    title = f"published ImageNet-1K {metric.title}{metric.unit and f', {metric.unit}'}"
    y = quantitative("accuracy", title, scale={"domain": domain, "nice": False, "zero": False}, axis={"tickCount": 7})
    area = {"field": "area", "type": "quantitative", "scale": None}
    layers: list[Spec] = [
        {
            "mark": {"type": "point", "fill": BAR, "stroke": EDGE, "strokeWidth": 1, "opacity": 1},
            "encoding": {"x": x, "y": y, "size": area, "tooltip": ABOUT},
        },
        {
            "mark": {"type": "rule", "color": INK, "strokeWidth": 1.3, "clip": True},
            "encoding": {"x": {**x, "field": "low"}, "x2": {"field": "high"}, "y": y},
        },
    ]
    labels = [
        LabelledPoint(
            values["speed"],
            values["accuracy"],
            values["model"],
            2 * math.sqrt(values["area"] / math.pi),
            [
                (values["low"] * (values["high"] / values["low"]) ** (share / 8), values["accuracy"])
                for share in range(9)
            ],
        )
        for values in rows
    ]
    return figure(rows, layers, height=_SCATTER_HEIGHT, labels=point_labels(labels, ABOVE))


def speed_limits(cases: Collection[Record]) -> tuple[float, float]:
    """Return the ends of a logarithmic axis for the speeds and quartiles of finished cases, with margins."""
    values = [value for case in cases for value in quartiles(case)]
    margin = max((max(values) / min(values)) ** 0.12, 1.15)
    return min(values) / margin, max(values) * margin


def _bar(index: int, number: int, name: str, case: Record) -> dict[str, Any]:
    values: dict[str, Any] = {"row": index, "name": f"{number} {name}", "about": _about(f"{number} {name}", case)}
    if (speed := speed_of(case)) is not None:
        low, _, high = quartiles(case)
        values |= {"speed": speed, "low": low, "high": high, "label": measured(speed)}
    return values


def _point(number: int, case: Record, most: float) -> dict[str, Any]:
    low, median, high = quartiles(case)
    area = max(_LARGEST * case.metrics.get("params", 0.0) / most, _SMALLEST) if most else _UNKNOWN
    return {
        "speed": median, "low": low, "high": high, "accuracy": accuracy_of(case), "area": area, "model": model_of(case),
        "about": _about(f"{number} {model_of(case)}", case),
    }  # fmt: skip


def _notes(benchmark: Benchmark, cases: Mapping[int, Record]) -> list[str]:
    marked = list(accuracy_marks(cases).values())
    notes = [
        "Accuracy: published with the networks, not measured here. Whisker: quartiles of the speed over rounds."
        + _sizes(marked)
    ]
    fastest = fastest_of_each_network(cases).values()
    if len(fastest) < sum(speed_of(case) is not None for case in cases.values()):
        notes.append("Each network with the fastest of its settings.")
    unpublished = [case for case in fastest if accuracy_of(case) is None]
    if unpublished:
        listed = ", ".join(f"{model_of(case)} {measured(speed_of(case))} {benchmark.unit}/s" for case in unpublished)
        notes.append(f"Not drawn, without a published accuracy: {listed}.")
    names = case_names(benchmark, GROUPED_BY)
    failed = [names[number - 1] for number, case in cases.items() if case.error is not None]
    if failed:
        notes.append(f"Failed: {'; '.join(failed)}.")
    return notes


def _sizes(cases: Sequence[Record]) -> str:
    params = [case.metrics["params"] for case in cases if "params" in case.metrics]
    if not params:
        return ""
    ends = dict.fromkeys((quantity(min(params)), quantity(max(params))))
    return f" Area: parameters, {' to '.join(ends)}."


def _about(name: str, case: Record) -> str:
    """Return what a pointer over a case shows."""
    if case.error is not None:
        return tooltip([name, f"failed: {case.error}"])
    metrics, settings = case.metrics, BenchmarkCase.from_record(case)
    lines = [name]
    if speed_of(case) is not None:
        low, median, high = quartiles(case)
        lines.append(
            f"{measured(median)} {settings.unit}/s, quartiles {measured(low, median)} to {measured(high, median)}"
        )
    if "latency_ms" in metrics:
        lines.append(f"{measured(metrics['latency_ms'])} ms per batch of {settings.batch}")
    if "ratio" in metrics and not is_baseline(case):
        lines.append(f"{measured(metrics['ratio'])} times as fast as {settings.ratio_to}")
    if "params" in metrics or "macs" in metrics:
        lines.append(f"{quantity(metrics.get('macs'))} MACs, {quantity(metrics.get('params'))} parameters")
    if (accuracy := accuracy_of(case)) is not None:
        metric = case.primary
        lines.append(f"published {metric.title} {with_unit(accuracy, metric.digits_for(None), metric.unit)}")
    return tooltip(lines)
