"""The charts of a road: a bar per step, and accuracy against cost."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from modernet.records import Record
from modernet.report.drawing.axes import metric_limits
from modernet.report.drawing.figure import ABOUT, Spec, figure, quantitative, row, tooltip
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.point_labels import BESIDE, LabelledPoint, point_labels
from modernet.report.drawing.theme import BAR, CLEAR, DOT, EDGE, FAINT, INK, MACS, PAPER, SIDE
from modernet.report.notation import MISSING, axis_title, number, points, quantity, signed, with_unit
from modernet.report.road.summary import Road, RoadStep
from modernet.report.road.wording import conditions, difference, interval, mean_and_std

_STEP = 31  # pixels per row
_ADOPTED, _TRIED = "adopted step", "tried, not adopted"
_IS_TRIED = f"datum.side == '{_TRIED}'"
_MEASURED = {"filter": "isValid(datum.mean)"}
_VARIES = {"filter": "isValid(datum.low)"}


def write_road_png(road: Road, path: Path) -> None:
    """Write the chart of a road as a PNG, after figure 2 of "A ConvNet for the 2020s"."""
    panel = Panel(road_chart(road), notes=notes(road))
    write_png(path, f"From ResNet to ConvNeXt on {road.data}", conditions(road), [panel])


def notes(road: Road) -> list[str]:
    """Return what the marks of the chart mean, a sentence or two per group of marks."""
    bars = "Bar: mean. Whisker: ± standard deviation over seeds. Dots: seeds."
    if any(step.published_top1 is not None for step in road.steps):
        bars += f" Diamonds: the paper{f', {road.published_of}' if road.published_of else ''} (axis above)."
    lines = [bars]
    if any(step.delta is not None for step in road.steps):
        unit = points(road.metric)
        lines.append(
            f"Difference: to the adopted step before{unit and f', in {unit}'}, with its 95 % Welch interval over "
            "seeds; orange: the interval excludes zero."
        )
    start, _ = _limits(road)
    if start:
        foot = with_unit(start, _decimals(start), road.metric.unit)
        lines.append(f"The axis of the bars starts at {foot}, not at 0.")
    return lines


def road_chart(road: Road) -> Spec:
    """Draw a bar per step: the mean of the metric with whiskers and seeds, the paper's values, differences and MACs.

    Names, differences and MACs are columns of text; phones have no room for the latter two, which the table repeats.
    """
    start, end = _limits(road)
    rows = [_row(index, step, road) for index, step in enumerate(road.steps)]
    y: Spec = {"y": row(len(rows))}
    scale = {"domain": [start, end], "nice": False, "zero": False}
    x = quantitative("mean", axis_title(road.metric, "test"), scale=scale, axis={"tickCount": 8})
    layers = [
        _bars(x, y, start, has_sides=any(step.side_step for step in road.steps)),
        *_whiskers(x, y),
        _seeds(x, y, road),
        *_numbers(y, left=14 if start else 6),
        *_names_and_differences(rows, y),
    ]
    if start:  # a cut through the foot of the bars shows that they do not start at zero
        layers += [_cut(position, len(rows)) for position in (5, 9)]
    groups: list[Spec] = [{"layer": layers}]
    published = [step.published_top1 for step in road.steps if step.published_top1 is not None]
    if published:
        groups.append(_published(published, y))
    macs = [step.macs for step in road.steps if step.macs is not None]
    if macs:
        groups.append(_macs(max(macs), y))
    independent = {"scale": {"x": "independent"}, "axis": {"x": "independent"}}
    return figure(rows, groups, height={"step": _STEP}, resolve=independent)


def cost_chart(road: Road) -> Spec | None:
    """Draw accuracy against MACs: the road as a path, side steps as open points; None without both numbers."""
    chosen = [step for step in road.steps if step.macs is not None and step.test_mean is not None]
    if not chosen:
        return None
    rows = [_row(index, step, road) for index, step in enumerate(chosen)]
    x = quantitative("macs", "MACs per image", scale={"zero": False}, axis={"format": "~s", "tickCount": 6})
    y = quantitative("mean", axis_title(road.metric, "test"), scale={"zero": False}, axis={"tickCount": 6})
    has_sides = any(step.side_step for step in chosen)
    fill = {
        "field": "side",
        "type": "nominal",
        "scale": {"domain": [_ADOPTED, _TRIED], "range": [MACS, PAPER]},
        "legend": {"orient": "bottom", "symbolStrokeColor": MACS} if has_sides else None,
    }
    whiskers = {
        "transform": [_VARIES],
        "mark": {"type": "rule", "color": FAINT, "opacity": 0.5},
        "encoding": {"x": x, "y": {**y, "field": "low"}, "y2": {"field": "high"}},
    }
    layers: list[Spec] = [
        {
            "transform": [{"filter": f"!({_IS_TRIED})"}],
            "mark": {"type": "line", "strokeWidth": 0.7, "color": FAINT},
            "encoding": {"x": x, "y": y, "order": {"field": "row"}},
        },
        *([whiskers] if any("low" in values for values in rows) else []),
        {
            "mark": {"type": "point", "size": 60, "stroke": MACS, "strokeWidth": 1.4, "opacity": 1},
            "encoding": {"x": x, "y": y, "fill": fill, "tooltip": ABOUT},
        },
    ]
    labels = [LabelledPoint(step["macs"], step["mean"], step["number"], 9, _along_whisker(step)) for step in rows]
    return figure(rows, layers, height=300, labels=point_labels(labels, BESIDE, size=10, color=FAINT))


def _along_whisker(step: dict[str, Any]) -> list[tuple[float, float]]:
    if "low" not in step:
        return []
    low, high = step["low"], step["high"]
    return [(step["macs"], low + share / 20 * (high - low)) for share in range(21)]


def _limits(road: Road) -> tuple[float, float]:
    """Return the ends of an axis for every score of the road: seeds, and both ends of the whiskers."""
    values = [score for step in road.steps for score in step.test_scores]
    for step in road.steps:
        if step.test_std is not None:
            values += _whisker(step, road)
    return metric_limits(values, road.metric)


def _whisker(step: RoadStep, road: Road) -> tuple[float, float]:
    assert step.test_mean is not None
    assert step.test_std is not None
    least, most = road.metric.limits
    low, high = step.test_mean - step.test_std, step.test_mean + step.test_std
    return low if least is None else max(low, least), high if most is None else min(high, most)


def _row(index: int, step: RoadStep, road: Road) -> dict[str, Any]:
    values: dict[str, Any] = {
        "row": index,
        "number": step.row,
        "title": step.title,
        "side": _TRIED if step.side_step else _ADOPTED,
        "clear": step.excludes_zero,
        "label": number(step.test_mean, road.digits),
        "delta": "" if step.against is None else signed(step.delta, road.digits),
        "interval": interval(step, road.digits),
        "macs": step.macs,
        "macs_label": quantity(step.macs),
        "published": step.published_top1,
        "missing": "failed" if step.errors else "no finished run",
        "about": _about(step, road),
    }
    if step.test_mean is not None:
        values["mean"] = step.test_mean
    if step.test_std is not None:
        values["low"], values["high"] = _whisker(step, road)
    return values


def _about(step: RoadStep, road: Road) -> str:
    """Return what a pointer over a step shows."""
    digits, metric = road.digits, road.metric
    seeds = ", ".join(f"{run.settings.get('seed')}: {number(run.score('test'), digits)}" for run in step.runs)
    lines = [
        f"{step.row} {step.title}",
        f"test {metric.title} {mean_and_std(step, digits)} {metric.unit}".rstrip(),
        f"seeds {seeds or MISSING}",
    ]
    if step.delta is not None:
        lines.append(f"against {step.against}: {difference(step, digits)}")
    lines.append(f"{quantity(step.macs)} MACs, {quantity(step.params)} parameters")
    if step.published_top1 is not None:
        change = "" if step.published_delta is None else f" ({signed(step.published_delta, 2)})"
        lines.append(f"paper {number(step.published_top1, 2)} %{change}")
    lines += [f"failed: {error}" for error in dict.fromkeys(step.errors)]
    return tooltip(lines)


def _bars(x: Spec, y: Spec, start: float, *, has_sides: bool) -> Spec:
    fill = {
        "field": "side",
        "type": "nominal",
        "scale": {"domain": [_ADOPTED, _TRIED], "range": [BAR, SIDE]},
        "legend": {"orient": "bottom", "symbolType": "square", "symbolStrokeColor": EDGE} if has_sides else None,
    }
    dash = {"condition": {"test": _IS_TRIED, "value": [3, 2]}, "value": [1, 0]}
    return {
        "name": "bars",
        "transform": [_MEASURED],
        "mark": {"type": "bar", "height": {"band": 0.7}, "stroke": EDGE, "strokeWidth": 0.8},
        "encoding": {**y, "x": x, "x2": {"datum": start}, "fill": fill, "strokeDash": dash, "tooltip": ABOUT},
    }


def _whiskers(x: Spec, y: Spec) -> list[Spec]:
    line = {
        "transform": [_VARIES],
        "mark": {"type": "rule", "strokeWidth": 1.2, "color": INK},
        "encoding": {**y, "x": {**x, "field": "low"}, "x2": {"field": "high"}},
    }
    ends: list[Spec] = [
        {
            "transform": [_VARIES],
            "mark": {"type": "tick", "thickness": 1.2, "size": 11, "color": INK, "opacity": 1},
            "encoding": {**y, "x": {**x, "field": end}},
        }
        for end in ("low", "high")
    ]
    return [line, *ends]


def _seeds(x: Spec, y: Spec, road: Road) -> Spec:
    dots = [_seed(index, run, road) for index, step in enumerate(road.steps) for run in step.runs]
    return {
        "data": {"values": dots},
        "mark": {"type": "point", "size": 34, "fill": DOT, "stroke": PAPER, "strokeWidth": 1, "opacity": 1},
        "encoding": {**y, "x": x, "tooltip": ABOUT},
    }


def _seed(index: int, run: Record, road: Road) -> dict[str, Any]:
    score = run.score("test")
    assert score is not None
    value = with_unit(score, road.digits, road.metric.unit)
    lines = [f"{run.name}, seed {run.settings.get('seed')}", f"test {road.metric.title} {value}"]
    return {"row": index, "mean": score, "about": tooltip(lines)}


def _numbers(y: Spec, left: int) -> list[Spec]:
    """Means at the foot of the bars, where neither whiskers nor dots cross them, or the reason for a missing one."""
    return [
        {
            "transform": [_MEASURED],
            "mark": {"type": "text", "align": "left", "x": left},
            "encoding": {**y, "text": {"field": "label", "type": "nominal"}},
        },
        {
            "transform": [{"filter": "!isValid(datum.mean)"}],
            "mark": {"type": "text", "align": "left", "x": 6, "color": CLEAR, "fontStyle": "italic"},
            "encoding": {**y, "text": {"field": "missing", "type": "nominal"}, "tooltip": ABOUT},
        },
    ]


def _names_and_differences(rows: Sequence[dict[str, Any]], y: Spec) -> list[Spec]:
    """Names to the left of the bars; differences with their intervals to the right."""
    name_color = {"condition": {"test": _IS_TRIED, "value": FAINT}, "value": INK}
    name = {"type": "text", "align": "right", "x": -8, "limit": {"expr": "narrow ? 110 : 190"}}
    columns: list[Spec] = [
        {
            "mark": {
                **name,
                "text": {"expr": "datum.title"},
                "fontStyle": {"expr": f"{_IS_TRIED} ? 'italic' : 'normal'"},
            },
            "encoding": {**y, "color": name_color, "tooltip": ABOUT},
        }
    ]
    if not any(values["delta"] for values in rows):
        return columns
    for field, x, align, other, size in (("delta", 52, "right", INK, 12), ("interval", 58, "left", FAINT, 11)):
        mark = {"type": "text", "x": {"expr": _right_of_bars(x)}, "align": align, "fontSize": size}
        mark["text"] = {"expr": f"narrow ? '' : datum.{field}"}
        if field == "delta":
            mark["fontWeight"] = {"expr": "datum.clear ? 'bold' : 'normal'"}
        color = {"condition": {"test": "datum.clear", "value": CLEAR}, "value": other}
        columns.append({"mark": mark, "encoding": {**y, "color": color}})
    return [*columns, _heading("difference", 56, "center")]


def _right_of_bars(pixels: int) -> str:
    """Return an expression for a position right of the bars; on phones nothing is there, and needs no room."""
    return f"width + (narrow ? 0 : {pixels})"


def _heading(text: str, x: int, align: str) -> Spec:
    mark = {"type": "text", "x": {"expr": _right_of_bars(x)}, "y": -12, "align": align, "color": FAINT}
    return {"data": {"values": [{}]}, "mark": {**mark, "text": {"expr": f"narrow ? '' : '{text}'"}}}


def _cut(x: int, rows: int) -> Spec:
    return {
        "transform": [_MEASURED],
        "mark": {"type": "rule", "strokeWidth": 1.6, "color": PAPER, "x": x - 1.5, "x2": x + 1.5},
        "encoding": {"y": row(rows, bandPosition=0.86), "y2": {"field": "row", "bandPosition": 0.14}},
    }


def _published(values: Sequence[float], y: Spec) -> Spec:
    """The paper's values as diamonds, on an axis of their own above; below the middle of the bar, clear of whiskers."""
    margin = max(0.15 * (max(values) - min(values)), 0.5)
    domain = [min(values) - margin, min(max(values) + margin, 100.0)]
    axis = {"orient": "top", "grid": False, "labelFontSize": 10, "titleFontSize": 11, "tickSize": 3, "tickCount": 6}
    x = quantitative(
        "published",
        "paper (◊), ImageNet-1K top-1, %",
        scale={"domain": domain, "nice": False, "zero": False},
        axis=axis,
    )
    mark = {"type": "point", "shape": "diamond", "size": 36, "fill": PAPER, "stroke": FAINT, "strokeWidth": 1}
    return {
        "transform": [{"filter": "isValid(datum.published)"}],
        "mark": {**mark, "opacity": 1, "yOffset": 7},
        "encoding": {**y, "x": x, "tooltip": ABOUT},
    }


def _macs(most: int, y: Spec) -> Spec:
    """MACs as a diamond on a stem with its number, right of the differences; nothing on phones."""
    ends = [{"expr": _right_of_bars(pixels)} for pixels in (155, 230)]
    scale = {"domain": [0, most], "range": ends, "nice": False}
    x = {"field": "macs", "type": "quantitative", "axis": None, "scale": scale}
    exists = {"transform": [{"filter": "!narrow && isValid(datum.macs)"}], "encoding": {**y, "x": x}}
    label = {
        "type": "text",
        "align": "left",
        "dx": 8,
        "fontSize": 11,
        "text": {"expr": "datum.macs_label"},
    }
    return {
        "layer": [
            {**exists, "mark": {"type": "rule", "color": MACS}, "encoding": {**y, "x": x, "x2": {"datum": 0}}},
            {**exists, "mark": {"type": "point", "shape": "diamond", "filled": True, "size": 40, "color": MACS}},
            {**exists, "mark": label},
            _heading("MACs", 155, "left"),
        ]
    }


def _decimals(value: float) -> int:
    """Return the fewest decimals that show a round number exactly."""
    return next((digits for digits in range(4) if round(value, digits) == value), 4)
