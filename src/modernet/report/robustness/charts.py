"""The charts of a test of robustness: a line for each network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, row, tooltip
from modernet.report.drawing.lines import PICKED, line_encoding
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.theme import FAINT, RULE, ramp
from modernet.report.notation import heading, number, plural
from modernet.report.robustness.summary import (
    Comparison,
    Network,
    Reading,
    bins_of,
    shifts_of,
    sizes_of,
    suite_words,
)
from modernet.report.section import Chart, Curves

_SLOT = 7  # of a corruption, in steps between severities
_WIDEST = 620.0  # area of the point of a bin with all images, in square pixels
_NARROWEST = 14.0


def severity_curves(comparison: Comparison, suite: str) -> Curves:
    """Draw what is measured at each severity, a strip for each corruption; dashed: without corruption."""
    networks, measure = comparison.networks, comparison.measure
    names = list(dict.fromkeys(each.name for network in networks for each in network.corrupted(suite)))
    rows: list[dict[str, Any]] = []
    for line, network in enumerate(networks):
        base = measure.clean(network)
        without = [] if math.isnan(base) else [f"clean: {number(base, network.digits)} %"]
        for each in network.corrupted(suite):
            for severity, value in sorted(each.values.items()):
                words = measure.words(f"{number(value, network.digits)} %")
                about = [network.label, f"{each.name}, severity {severity}: {words}", *without]
                rows.append(
                    {
                        "line": line,
                        "strip": names.index(each.name),
                        "x": names.index(each.name) + (severity - 3) / _SLOT,
                        "value": value,
                        "about": tooltip(about),
                    }
                )
    limits = [-0.5, len(names) - 0.5]
    x: Spec = {"field": "x", "type": "quantitative", "scale": {"domain": limits, "nice": False}, "axis": None}
    y = quantitative("value", f"{measure.title}, %", scale={"zero": True}, axis={"tickCount": 5})
    colors = line_encoding(ramp(len(networks)))
    clean_rows = [
        {"line": line, "value": value}
        for line, network in enumerate(networks)
        if (value := measure.clean(network)) >= 0
    ]
    labels = [{"x": index, "name": name} for index, name in enumerate(names)]
    edges = [{"x": index + 0.5} for index in range(len(names) - 1)]
    place: Spec = {"x": x, "y": y, **colors}
    clean = {
        "data": {"values": clean_rows},
        "mark": {"type": "rule", "strokeDash": [4, 4], "strokeWidth": 1.2},
        "encoding": {"y": y, **colors},
    }
    layers: list[Spec] = [
        {"data": {"values": edges}, "mark": {"type": "rule", "color": RULE}, "encoding": {"x": x}},
        *([clean] if clean_rows else []),
        {"mark": {"type": "line", "strokeWidth": 1.8}, "encoding": {**place, "detail": {"field": "strip"}}},
        {"mark": {"type": "point", "filled": True, "size": 16}, "encoding": place},
        _hover(x, y),
        {
            "data": {"values": labels},
            "mark": {
                "type": "text", "align": "right", "y": {"expr": "height + 8"}, "angle": -90, "limit": 130,
                "color": FAINT, "fontSize": {"expr": "narrow ? 9 : 12"}, "text": {"expr": "datum.name"},
            },
            "encoding": {"x": x},
        },
    ]  # fmt: skip
    caption = "A strip for each corruption, severities from left to right. Dashed: on clean images."
    return _curves(comparison, [Chart(caption, figure(rows, layers, height=280, params=PICKED))])


def calibration_curves(comparison: Comparison) -> Curves | None:
    """Draw accuracy by confidence; None if no network has its bins."""
    rows: list[dict[str, Any]] = []
    for line, network in enumerate(comparison.networks):
        total = sum(each["n"] for each in bins_of(network))
        for each in bins_of(network):
            rows.append(
                {
                    "line": line,
                    "x": each["confidence"],
                    "value": each["accuracy"],
                    "area": max(_WIDEST * each["n"] / total, _NARROWEST),
                    "about": tooltip(
                        [
                            network.label,
                            f"confidence {100 * each['confidence']:.0f} %: {100 * each['accuracy']:.0f} % right",
                            f"{each['n']:,} of {total:,} images",
                        ]
                    ),
                }
            )
    if not rows:
        return None
    scale = {"domain": [0, 1], "nice": False}
    axis = {"format": ".0%", "tickCount": 5}
    x = quantitative("x", "confidence", scale=scale, axis=axis)
    y = quantitative("value", "accuracy", scale=scale, axis=axis)
    place: Spec = {"x": x, "y": y, **line_encoding(ramp(len(comparison.networks)))}
    diagonal: Spec = {
        "data": {"values": [{"x": 0, "value": 0}, {"x": 1, "value": 1}]},
        "mark": {"type": "line", "color": FAINT, "strokeDash": [4, 4], "strokeWidth": 1.2},
        "encoding": {"x": x, "y": y},
    }
    layers = [
        diagonal,
        {"mark": {"type": "line", "strokeWidth": 1.8}, "encoding": place},
        {
            "mark": {"type": "point", "filled": True, "fillOpacity": 0.55},
            "encoding": {**place, "size": {"field": "area", "type": "quantitative", "scale": None}},
        },
        _hover(x, y),
    ]
    caption = "Accuracy by confidence, a point for each bin; its area: images in the bin. Dashed: perfect calibration."
    return _curves(comparison, [Chart(caption, figure(rows, layers, height=300, params=PICKED))])


def size_and_shift_curves(comparison: Comparison) -> Curves | None:
    """Draw accuracy by image size, and consistency by shift; None if neither was measured."""
    charts = []
    sizes = _rows(comparison, _by_size, lambda size, shown: f"{size} x {size} pixels: {shown} % right")
    if sizes:
        caption = "Top-1 by side of the images. Whisker: 95 % interval; ring: the size that the network is made for."
        charts.append(Chart(caption, _whiskers(comparison, sizes, "side, pixels", "top-1, %")))
    shifts = _rows(
        comparison, shifts_of, lambda shift, shown: f"shifted by {plural(shift, 'pixel')}: {shown} % answer the same"
    )
    if shifts:
        caption = (
            "Share of images with the same answer when the crop is shifted by some pixels, mean of both directions."
        )
        log: Spec = {"type": "log", "base": 2, "nice": False}
        charts.append(Chart(caption, _whiskers(comparison, shifts, "shift, pixels", "same answer, %", log)))
    return _curves(comparison, charts) if charts else None


def write_robustness_png(comparison: Comparison, path: Path) -> None:
    """Write the charts of a comparison as a PNG."""
    panels = [Panel(_legend(comparison))] if len(comparison.networks) > 1 else []
    for suite in comparison.suites:
        for chart in severity_curves(comparison, suite).charts:
            panels.append(
                Panel(
                    chart.figure,
                    f"{heading(comparison.measure.short)} by severity, {suite_words(suite)}",
                    [chart.caption],
                )
            )
    calibration, others = calibration_curves(comparison), size_and_shift_curves(comparison)
    for chart in calibration.charts if calibration is not None else ():
        panels.append(Panel(chart.figure, "Calibration", [chart.caption]))
    for chart in others.charts if others is not None else ():
        panels.append(Panel(chart.figure, "", [chart.caption]))
    names = ", ".join(network.label for network in comparison.networks)
    write_png(path, f"Robustness on {comparison.data}", names, panels)


def _by_size(network: Network) -> dict[int, Reading]:
    readings = {row["image_size"]: Reading.of(row, "top1") for row in sizes_of(network)}
    return {size: reading for size, reading in sorted(readings.items()) if reading is not None}


def _rows(
    comparison: Comparison,
    read: Callable[[Network], Mapping[int, Reading]],
    words: Callable[[int, str], str],
) -> list[dict[str, Any]]:
    """Return a row for each point of each network.

    Args:
        read: network -> a value for each position on the horizontal axis.
        words: a position and its value as text -> what a pointer shows.
    """
    rows: list[dict[str, Any]] = []
    for line, network in enumerate(comparison.networks):
        own = {each["image_size"] for each in sizes_of(network) if each.get("own")} if read is _by_size else set()
        for x, reading in read(network).items():
            shown = number(reading.value, network.digits)
            whisker = {} if reading.low is None else {"low": reading.low, "high": reading.high}
            about = tooltip([network.label, words(x, shown)])
            rows.append({"line": line, "x": x, "value": reading.value, "own": x in own, "about": about, **whisker})
    return rows


def _whiskers(
    comparison: Comparison, rows: Sequence[Mapping[str, Any]], x_title: str, y_title: str, scale: Spec | None = None
) -> Spec:
    """Draw lines with whiskers, and rings around the points of `own`."""
    ticks = sorted({each["x"] for each in rows})
    x = quantitative("x", x_title, scale=scale or {"zero": False}, axis={"values": ticks, "labelOverlap": True})
    y = quantitative("value", y_title, scale={"zero": False}, axis={"tickCount": 5})
    colors = line_encoding(ramp(len(comparison.networks)))
    place: Spec = {"x": x, "y": y, **colors}
    whiskers = {
        "transform": [{"filter": "isValid(datum.low)"}],
        "mark": {"type": "rule", "strokeWidth": 1.2},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, **colors},
    }
    rings = {
        "transform": [{"filter": "datum.own"}],
        "mark": {"type": "point", "filled": False, "size": 160, "strokeWidth": 1.6},
        "encoding": place,
    }
    layers: list[Spec] = [
        *([whiskers] if any("low" in each for each in rows) else []),  # Vega complains of layers without rows
        {"mark": {"type": "line", "strokeWidth": 1.8}, "encoding": place},
        {"mark": {"type": "point", "filled": True, "size": 30}, "encoding": place},
        *([rings] if any(each["own"] for each in rows) else []),
        _hover(x, y),
    ]
    return figure(rows, layers, height=270, params=PICKED)


def _hover(x: Spec, y: Spec) -> Spec:
    """Return invisible points that a pointer meets easily."""
    mark = {"type": "point", "size": 120, "opacity": 0, "filled": True}
    return {"mark": mark, "encoding": {"x": x, "y": y, "tooltip": ABOUT}}


def _curves(comparison: Comparison, charts: Sequence[Chart]) -> Curves:
    """Return charts with a key, which one network does without."""
    names = [network.label for network in comparison.networks]
    keys = list(zip(names, ramp(len(names)), strict=True)) if len(names) > 1 else []
    return Curves(keys, charts)


def _legend(comparison: Comparison) -> Spec:
    """Draw the names of networks with their colours, for a file, which has no buttons."""
    names = [network.label for network in comparison.networks]
    rows = [{"row": index, "line": index, "name": name} for index, name in enumerate(names)]
    y = {"y": row(len(names))}
    layers: list[Spec] = [
        {
            "mark": {"type": "point", "shape": "square", "filled": True, "size": 90, "x": 6},
            "encoding": {**y, **line_encoding(ramp(len(names)))},
        },
        {"mark": {"type": "text", "align": "left", "x": 18, "text": {"expr": "datum.name"}}, "encoding": y},
    ]
    return figure(rows, layers, height={"step": 18}, params=PICKED)
