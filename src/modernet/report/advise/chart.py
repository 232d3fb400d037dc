"""The charts of an advice: scores round by round, and scores against latency with the limit."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from modernet.records import Metric
from modernet.report.advise.advice import Advice, Considered
from modernet.report.advise.standings import Standing, last_standing, standings
from modernet.report.advise.words import fate, in_words, limits, percent, scored, short_names, time_spent
from modernet.report.drawing.axes import log_ticks, metric_limits
from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, tooltip
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.point_labels import BESIDE, LabelledPoint, point_labels
from modernet.report.drawing.theme import CLEAR, DOT, EDGE, FAINT, PAPER
from modernet.report.notation import axis_title, measured, plural

ROUNDS = (
    "Validation score after each round, over the length of its trainings. Thick, filled: the pick. Filled: those that "
    "cannot be told apart from it. Open: trained to the end. Thin, crossed at the end: given up. Bars: 95 % interval."
)
SPEED = (
    "Validation score of the longest training against {what}, measured here. Filled: the pick and those that cannot be "
    "told apart from it. Open: trained to the end. Crosses: given up after a shorter training, whose score would still "
    "have risen. Bars: 95 % interval."
)
_UNTRAINED = " Triangles at the bottom: not trained, or failed."
_LIMIT = " Dashed: the limit that was asked for."
_HEIGHT = 360  # pixels
_STYLES = {
    "pick": {"width": 3.2, "size": 150, "color": DOT, "fill": DOT, "shape": "circle"},
    "level": {"width": 2.0, "size": 90, "color": EDGE, "fill": EDGE, "shape": "circle"},
    "finalist": {"width": 2.0, "size": 80, "color": EDGE, "fill": PAPER, "shape": "circle"},
    "left": {"width": 1.1, "size": 46, "color": FAINT, "fill": FAINT, "shape": "cross"},
}
_BESIDE = 1.022  # from one point to the next, on a logarithmic axis
_INNER = 16  # area in square pixels of a point that is not the last of its line
_AXES = {"latency_ms": ("latency of one image, ms, logarithmic", "max_latency_ms", "latency")}
_SPEED_AXIS = ("images/s, logarithmic", None, "images per second")


def write_advice_png(advice: Advice, metric: Metric, path: Path) -> None:
    """Write the charts of an advice as a PNG; without a finished training, the sentence that says so."""
    data = advice.data.get("name", "unnamed data")
    if advice.pick is None:
        headline = "no network can be advised"
    else:
        headline = f"{advice.pick}: {in_words(advice.sure)}, {percent(advice.sure)} sure"
    about = filter(None, [headline, limits(advice), time_spent(advice)])
    panels = []
    if (rounds := rounds_chart(advice, metric)) is not None:
        panels.append(Panel(rounds, "Round by round", [ROUNDS]))
    if (speed := speed_chart(advice, metric)) is not None:
        chart, caption = speed
        panels.append(Panel(chart, "Against speed", [caption]))
    empty = "" if panels else " · no finished training"
    write_png(path, f"What to use for {data}", " · ".join(about) + empty, panels)


def rounds_chart(advice: Advice, metric: Metric) -> Spec | None:
    """Draw a line for each candidate over the rounds; None without a finished training."""
    lines = [(each, found) for each in _ahead_last(advice) if (found := standings(advice, each, metric))]
    if not lines:
        return None
    rows = [
        _row(advice, each, standing, metric, last=standing is found[-1]) | {"line": index}
        for index, (each, found) in enumerate(lines)
        for standing in found
    ]
    _beside(rows)
    epochs = sorted({row["epochs"] for row in rows})
    low, high = epochs[0] / 1.3, epochs[-1] * 1.3 * (epochs[-1] / epochs[0]) ** 0.22  # room for names
    axis = {"values": epochs if len(epochs) <= 8 else log_ticks(low, high), "format": ",~r", "grid": False}
    scale = {"type": "log", "domain": [low, high], "nice": False}
    x = quantitative("x", "epochs of training, logarithmic", scale=scale, axis=axis)
    y = _score_axis(rows, metric)
    layers: list[Spec] = [
        {
            "mark": {"type": "line", "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "detail": {"field": "line", "type": "nominal"},
                "color": _value("color"),
                "strokeWidth": _value("width"),
            },
        },
        *_points(rows, x, y),
    ]
    ends = [row for row in reversed(rows) if row["last"]]
    places = {index: [row for row in rows if row["line"] == index] for index in range(len(lines))}
    labels = [_label(row, [*_bar(row), *_along(places[row["line"]])], x=row["x"], y=row["score"]) for row in ends]
    return figure(rows, layers, height=_HEIGHT, labels=point_labels(labels, BESIDE))


def speed_chart(advice: Advice, metric: Metric) -> tuple[Spec, str] | None:
    """Draw the last score of each candidate against its latency, or against images per second if that is all that is
    known, and say what is drawn; None without a finished training of a candidate whose speed is known.
    """
    field = "latency_ms" if any(each.latency_ms for each in advice.considered) else "images_per_second"
    title, limit_name, what = _AXES.get(field, _SPEED_AXIS)
    placed = [(each, speed) for each in _ahead_last(advice) if (speed := getattr(each, field))]
    rows = [
        _row(advice, each, standing, metric, last=True) | {"x": speed}
        for each, speed in placed
        if (standing := last_standing(advice, each, metric)) is not None
    ]
    if not rows:
        return None
    untrained = [(each, speed) for each, speed in placed if last_standing(advice, each, metric) is None]
    limit = advice.limits.get(limit_name) if limit_name else None
    ends = [speed for _, speed in placed] + ([limit] if limit else [])
    margin = max((max(ends) / min(ends)) ** 0.12, 1.15)
    low, high = min(ends) / margin, max(ends) * margin
    scale = {"type": "log", "domain": [low, high], "nice": False}
    x = quantitative("x", title, scale=scale, axis={"values": log_ticks(low, high), "format": ",~r"})
    y = _score_axis(rows, metric)
    bottom = y["scale"]["domain"][0]
    aside = [_untrained(advice, each, speed, bottom) for each, speed in untrained]
    layers: list[Spec] = _points(rows, x, y)
    if aside:
        mark = {"type": "point", "shape": "triangle-up", "size": 60, "fill": PAPER, "stroke": FAINT, "opacity": 1}
        encoding = {"x": x, "y": {**y, "field": "score"}, "tooltip": ABOUT}
        layers.append({"data": {"values": aside}, "mark": {**mark, "yOffset": -6}, "encoding": encoding})
    kept_free: list[tuple[float, float]] = []
    if limit:
        layers[:0] = _limit_line(limit, x)
        top = y["scale"]["domain"][1]
        kept_free = [(limit, bottom + (top - bottom) * step / 32) for step in range(33)]
    labels = [_label(row, [*_bar(row), *kept_free], x=row["x"], y=row["score"]) for row in reversed(rows)]
    labels += [_label(row, [], x=row["x"], y=row["score"]) for row in aside]
    caption = SPEED.format(what=what) + (_UNTRAINED if aside else "") + (_LIMIT if limit else "")
    return figure(rows, layers, height=_HEIGHT, labels=point_labels(labels, BESIDE)), caption


def _ahead_last(advice: Advice) -> list[Considered]:
    """Return the candidates in the order in which they are drawn: the pick last, so that it is above the others."""
    return list(reversed(advice.considered))


def _style(advice: Advice, each: Considered) -> str:
    if each.name == advice.pick:
        return "pick"
    if each.name in advice.level:
        return "level"
    return "finalist" if each.left_at is None else "left"


def _row(advice: Advice, each: Considered, standing: Standing, metric: Metric, *, last: bool) -> dict[str, Any]:
    style = _STYLES[_style(advice, each)]
    about = [
        each.name,
        f"round {standing.round + 1}, {plural(standing.epochs, 'epoch')}: {metric.title} {scored(standing, metric)}",
    ]
    if each.latency_ms is not None:
        about.append(f"{measured(each.latency_ms)} ms for one image")
    if last:
        about.append(fate(advice, each))
    ends = standing.interval
    return {
        **style,
        "size": style["size"] if last else _INNER,
        "shape": style["shape"] if last else "circle",
        "last": last,
        "name": short_names(advice)[each.name],
        "epochs": standing.epochs,
        "score": standing.score,
        "low": None if ends is None else ends.low,
        "high": None if ends is None else ends.high,
        "about": tooltip(about),
    }


def _untrained(advice: Advice, each: Considered, speed: float, score: float) -> dict[str, Any]:
    about = tooltip([each.name, f"{measured(speed)}: {fate(advice, each)}"])
    return {"name": short_names(advice)[each.name], "x": speed, "score": score, "size": 60, "low": None, "about": about}


def _beside(rows: Sequence[dict[str, Any]]) -> None:
    """Set where points are drawn: beside others of the same length, or their intervals would hide each other."""
    for epochs in {row["epochs"] for row in rows}:
        same = [row for row in rows if row["epochs"] == epochs]
        for index, row in enumerate(same):
            row["x"] = epochs * _BESIDE ** (index - (len(same) - 1) / 2)


def _score_axis(rows: Sequence[Mapping[str, Any]], metric: Metric) -> Spec:
    ends = [row[key] for row in rows for key in ("low", "score", "high") if row[key] is not None]
    scale = {"domain": list(metric_limits(ends, metric)), "nice": False, "zero": False}
    return quantitative("score", axis_title(metric, "validation"), scale=scale, axis={"tickCount": 7})


def _points(rows: Sequence[Mapping[str, Any]], x: Spec, y: Spec) -> list[Spec]:
    """Return the layers of points and their intervals."""
    layers: list[Spec] = []
    if any(row["low"] is not None for row in rows):
        layers.append(
            {
                "transform": [{"filter": "isValid(datum.low)"}],
                "mark": {"type": "rule", "strokeWidth": 1.2, "opacity": 0.75, "clip": True},
                "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}, "color": _value("color")},
            }
        )
    layers.append(
        {
            "mark": {"type": "point", "strokeWidth": 1.8, "opacity": 1},
            "encoding": {
                "x": x,
                "y": y,
                "shape": _value("shape"),
                "size": {"field": "size", "type": "quantitative", "scale": None},
                "fill": _value("fill"),
                "stroke": _value("color"),
                "tooltip": ABOUT,
            },
        }
    )
    return layers


def _limit_line(limit: float, x: Spec) -> list[Spec]:
    data = {"values": [{"x": limit, "text": f"limit {limit:g} ms"}]}
    line = {"type": "rule", "strokeDash": [5, 4], "strokeWidth": 1.6, "color": CLEAR}
    text = {"type": "text", "align": "right", "dx": -6, "y": 8, "color": CLEAR}
    return [
        {"data": data, "mark": line, "encoding": {"x": x}},
        {"data": data, "mark": {**text, "text": {"expr": "narrow ? '' : datum.text"}}, "encoding": {"x": x}},
    ]


def _value(field: str) -> Spec:
    """Return the encoding of what a row itself has: a colour, a width or a shape."""
    return {"field": field, "type": "nominal", "scale": None, "legend": None}


def _label(row: Mapping[str, Any], whisker: list[tuple[float, float]], *, x: float, y: float) -> LabelledPoint:
    return LabelledPoint(x, y, row["name"], 2 * math.sqrt(row["size"] / math.pi), whisker)


def _bar(row: Mapping[str, Any]) -> list[tuple[float, float]]:
    """Return places along the interval of a row, which labels keep away from."""
    if row["low"] is None:
        return []
    return [(row["x"], row["low"] + (row["high"] - row["low"]) * step / 8) for step in range(9)]


def _along(rows: Sequence[Mapping[str, Any]]) -> list[tuple[float, float]]:
    """Return places along the line of some rows, whose axis is logarithmic."""
    return [
        (
            start["x"] * (end["x"] / start["x"]) ** (step / 12),
            start["score"] + (end["score"] - start["score"]) * step / 12,
        )
        for start, end in itertools.pairwise(rows)
        for step in range(12)
    ]
