"""The charts of a comparison: score against speed, and differences to the best."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from modernet.catalogue.fields import without_shared_fields
from modernet.report.compare.analysis import SPEED, Candidate, Comparison, differences_to_best, measured
from modernet.report.compare.tables import p_value
from modernet.report.compare.words import about_interval, about_mean, conditions, settled_by, span
from modernet.report.drawing.axes import log_ticks, metric_limits
from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, row, tooltip
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.point_labels import BESIDE, LabelledPoint, point_labels
from modernet.report.drawing.theme import CLEAR, DOT, EDGE, FAINT, INK, PAPER
from modernet.report.notation import axis_title, interval, points, signed, with_unit
from modernet.report.notation import measured as significant
from modernet.statistics import Interval

_HEIGHT = 380  # pixels
_STEP = 26  # pixels per row
_ALONG = 40  # places along a whisker that labels avoid


def write_compare_png(comparison: Comparison, path: Path) -> None:
    """Write the charts of a comparison as a PNG; without finished trainings, the sentence that says so."""
    panels = []
    if (front := front_chart(comparison)) is not None:
        panels.append(Panel(front, notes=[front_note(comparison)]))
    if (gaps := differences_chart(comparison)) is not None:
        names = [each.name for each in comparison.candidates]
        best = without_shared_fields(names)[names[0]]
        panels.append(Panel(gaps, f"Difference to {best}", [differences_note(comparison)]))
    empty = "" if comparison.candidates else " · no training finished"
    write_png(path, title(comparison), conditions(comparison) + empty, panels)


def title(comparison: Comparison) -> str:
    """Return the title of a comparison."""
    return f"Networks compared on {comparison.any.data.get('name', 'unnamed data')}"


def front_note(comparison: Comparison) -> str:
    """Return what the marks of the first chart mean."""
    over = about_mean(comparison)
    upright = f"Vertical line: 95 % interval of the mean score, {over}; h" if over else "H"
    overlap = (
        " Two of these intervals may overlap although the difference is clear, since both saw the same images: judge "
        "by the differences."
        if comparison.paired
        else ""
    )
    without = [each.name for each in comparison.candidates if measured(each.compared, SPEED) is None]
    missing = f" Not drawn, as their speed is not known: {', '.join(without)}." if without else ""
    return (
        f"{upright}orizontal line: 95 % interval of the speed. Filled, on the line: no other is as fast and has a "
        f"better mean score.{overlap}{missing}"
    )


def differences_note(comparison: Comparison) -> str:
    """Return what the marks of the second chart mean."""
    return (
        f"Line: 95 % interval of the difference, {about_interval(comparison)}. Orange: told apart by Holm's test over "
        "all pairs, which is stricter than a single interval."
    )


def front_chart(comparison: Comparison) -> Spec | None:
    """Draw test scores against images per second, with uncertainty both ways; None without a known speed."""
    drawn = [(each, found) for each in comparison.candidates if (found := measured(each.compared, SPEED)) is not None]
    if not drawn:
        return None
    short = without_shared_fields([each.name for each in comparison.candidates])
    rows = [_point(comparison, each, *found) | {"name": short[each.name]} for each, found in drawn]
    speeds = [each[end] for each in rows for end in ("left", "right") if each[end] > 0]
    margin = max((max(speeds) / min(speeds)) ** 0.1, 1.15)
    low, high = min(speeds) / margin, max(speeds) * margin
    ticks = {"values": log_ticks(low, high), "format": ",~r"}
    scale = {"type": "log", "domain": [low, high], "nice": False}
    x = quantitative("speed", "images/s, logarithmic", scale=scale, axis=ticks)
    limits = metric_limits([each[end] for each in rows for end in ("low", "high")], comparison.metric)
    scale = {"domain": list(limits), "nice": False, "zero": False}
    y = quantitative("score", axis_title(comparison.metric, "test"), scale=scale, axis={"tickCount": 7})
    on_front = {"test": "datum.front", "value": DOT}
    whisker = {"type": "rule", "strokeWidth": 1.3, "clip": True}
    color = {"condition": on_front, "value": EDGE}
    layers: list[Spec] = [
        {
            "transform": [{"filter": "datum.front"}],
            "mark": {"type": "line", "strokeWidth": 1, "strokeDash": [4, 3], "color": FAINT},
            "encoding": {"x": x, "y": y, "order": {"field": "speed"}},
        },
        {
            "mark": whisker,
            "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": color},
        },
        {
            "mark": whisker,
            "encoding": {"x": {**x, "field": "left"}, "x2": {"field": "right"}, "y": y, "color": color},
        },
        {
            "mark": {"type": "point", "size": 80, "strokeWidth": 1.6, "opacity": 1},
            "encoding": {
                "x": x, "y": y, "fill": {"condition": on_front, "value": PAPER}, "stroke": color, "tooltip": ABOUT,
            },
        },
    ]  # fmt: skip
    labels = [LabelledPoint(each["speed"], each["score"], each["name"], 11, _whiskers(each)) for each in rows]
    return figure(rows, layers, height=_HEIGHT, labels=point_labels(labels, BESIDE))


def differences_chart(comparison: Comparison) -> Spec | None:
    """Draw each candidate's difference to the best one; None with fewer than two candidates."""
    digits, unit = comparison.digits, points(comparison.metric)
    short = without_shared_fields([each.name for each in comparison.candidates])
    rows: list[dict[str, Any]] = []
    for name, pair in differences_to_best(comparison).items():
        ends = pair.interval and Interval(-pair.interval.high, -pair.interval.low)
        text = f"{signed(-pair.difference, digits)}  {interval(ends, digits)}"
        lines = [f"{name} against {pair.first}", f"{text} {unit}".strip(), f"p {p_value(pair.p)}"]
        if settled := settled_by(pair):
            lines.append(f"not told apart; it would take {settled}")
        gap = {
            "row": len(rows),
            "name": short[name],
            "gap": -pair.difference,
            "text": text,
            "clear": bool(pair.distinguished),
        }
        if ends is not None:
            gap |= {"low": ends.low, "high": ends.high}
        rows.append({**gap, "about": tooltip(lines)})
    if not rows:
        return None
    y: Spec = {"y": row(len(rows))}
    values = [0.0, *(each[key] for each in rows for key in ("gap", "low", "high") if key in each)]
    reach = max(max(values) - min(values), 1e-6)
    scale = {"domain": [min(values) - 0.04 * reach, max(values) + 0.04 * reach], "nice": True, "zero": True}
    axis = {"tickCount": 8}
    about = f"difference in test {comparison.metric.title}{unit and f', {unit}'}"
    x = quantitative("gap", about, scale=scale, axis=axis)
    zero = {"type": "rule", "color": INK, "strokeWidth": 1}
    color = {"condition": {"test": "datum.clear", "value": CLEAR}, "value": DOT}
    layers: list[Spec] = [
        {"data": {"values": [{"gap": 0}]}, "mark": zero, "encoding": {"x": x}},
        {
            "transform": [{"filter": "isValid(datum.low)"}],
            "mark": {"type": "rule", "strokeWidth": 1.8},
            "encoding": {**y, "x": {**x, "field": "low"}, "x2": {"field": "high"}, "color": color},
        },
        {
            "mark": {"type": "point", "filled": True, "opacity": 1, "size": 70, "stroke": PAPER, "strokeWidth": 1},
            "encoding": {**y, "x": x, "fill": color, "tooltip": ABOUT},
        },
        {
            "mark": {
                "type": "text", "align": "right", "x": -8, "limit": {"expr": "narrow ? 110 : 190"},
                "text": {"expr": "datum.name"},
            },
            "encoding": {**y, "tooltip": ABOUT},
        },
        {
            "mark": {
                "type": "text", "align": "left", "x": {"expr": "width + (narrow ? 0 : 10)"},
                "text": {"expr": "narrow ? '' : datum.text"}, "color": FAINT,
            },
            "encoding": y,
        },
    ]  # fmt: skip
    return figure(rows, layers, height={"step": _STEP})


def _point(comparison: Comparison, candidate: Candidate, speed: float, ends: Interval) -> dict[str, Any]:
    digits, metric = comparison.digits, comparison.metric
    known = candidate.interval or Interval(candidate.mean, candidate.mean)
    lines = [
        candidate.name,
        f"{with_unit(candidate.mean, digits, metric.unit)} {span(candidate.interval, digits)}",
        f"{significant(speed)} images/s"
        + (f", {significant(ends.low, speed)} to {significant(ends.high, speed)}" if ends.margin > 0 else ""),
    ]
    if candidate.dominated_by:
        lines.append(f"worse and slower than {', '.join(candidate.dominated_by)}, beyond uncertainty")
    return {
        "speed": speed, "left": ends.low if ends.low > 0 else speed, "right": ends.high,
        "score": candidate.mean, "low": known.low, "high": known.high, "front": SPEED in candidate.fronts,
        "about": tooltip(lines),
    }  # fmt: skip


def _whiskers(point: dict[str, Any]) -> list[tuple[float, float]]:
    shares = [index / _ALONG for index in range(_ALONG + 1)]
    upright = [(point["speed"], point["low"] + share * (point["high"] - point["low"])) for share in shares]
    level = [(point["left"] * (point["right"] / point["left"]) ** share, point["score"]) for share in shares]
    return [*upright, *level]
