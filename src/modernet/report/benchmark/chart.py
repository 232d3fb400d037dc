"""A benchmark as one picture: accuracy against speed, or bars of speed where no accuracy is published."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from modernet.files.atomic import whole_file
from modernet.records import Record
from modernet.report.benchmark.summary import (
    GROUPED_BY,
    Benchmark,
    accuracy_marks,
    fastest_of_each_network,
    model_of,
    quartiles,
    speed_of,
)
from modernet.report.benchmark.wording import case_names, conditions, group_label
from modernet.report.drawing.chart_style import BAR, CLEAR, DPI, EDGE, FAINT, INK, RULE, WIDTH, short
from modernet.report.drawing.label_places import Box, distance, place_labels
from modernet.report.notation import measured, quantity

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_HEAD, _PANEL_HEAD, _AXIS, _FOOT = 0.78, 0.3, 0.62, 0.06  # inches: above all, above a panel, below it, below all
_SCATTER, _BAR_ROW, _NOTE_LINE = 4.2, 0.46, 0.17  # inches
_NOTE_LETTERS = 140  # in a line
_MARGIN, _LEFT, _RIGHT = 0.012, 0.07, 0.985  # of text, of axes with numbers on their left; shares of the width
_LARGEST, _SMALLEST = 260.0, 22.0  # areas of marks in square points
_STEPS = ((1.0, 2.0, 5.0), (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0), tuple(i / 10 for i in range(10, 100)))


@dataclass(frozen=True)
class _Panel:
    """Cases that may be compared, with their names, and what is written above and below their chart."""

    heading: str
    cases: Mapping[int, Record]
    names: Sequence[str]

    @property
    def marked(self) -> list[Record]:
        """The networks of a chart of accuracy against speed; without any, the panel has bars."""
        return list(accuracy_marks(self.cases).values())

    @property
    def inches(self) -> float:
        """The height of the axes."""
        return _SCATTER if self.marked else _BAR_ROW * len(self.cases)

    @property
    def notes(self) -> list[str]:
        """What is said in words below the axes, broken into lines."""
        return [line for note in _notes(self) for line in textwrap.wrap(note, _NOTE_LETTERS)]


def speed_chart(benchmark: Benchmark, path: Path) -> None:
    """Draw a benchmark as a PNG, 1800 pixels wide: a panel for each mode, dtype and picture size.

    A panel is the published top-1 of each network against the images a second of its fastest case, on a logarithmic
    axis with quartile bars; the area of a mark is the number of parameters. Networks without a published accuracy
    are named in words below. Where fewer than two accuracies are known, the panel has a bar for each case instead.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [_panel(benchmark, cases) for cases in benchmark.groups]
    height = _FOOT + _HEAD + sum(_height(panel) for panel in panels)
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)

    def write(inches_from_top: float, text: str, size: float, color: str, weight: str = "normal") -> None:
        figure.text(
            _MARGIN, 1 - inches_from_top / height, text, size=size, color=color, weight=weight, va="center",
            parse_math=False,
        )  # fmt: skip

    write(0.24, short(benchmark.title, 64), 14, INK, "bold")
    write(0.52, short(conditions(benchmark), 120), 9.5, FAINT)
    top = _HEAD
    for panel in panels:
        if panel.heading:
            write(top + _PANEL_HEAD / 2, panel.heading, 10.5, INK, "bold")
            top += _PANEL_HEAD
        left = _LEFT if panel.marked else _MARGIN
        axes = figure.add_axes((left, 1 - (top + panel.inches) / height, _RIGHT - left, panel.inches / height))
        if panel.marked:
            _draw_marks(axes, panel.marked)
        else:
            _draw_bars(axes, panel)
        top += panel.inches + _AXIS
        for line in panel.notes:
            write(top, line, 7.8, FAINT)
            top += _NOTE_LINE
        top += _NOTE_LINE
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png")


def speed_ticks(low: float, high: float) -> list[float]:
    """Round numbers for a logarithmic axis from `low` to `high`, as few as still are three within it.

    Raises:
        ValueError: `low` is not above zero.
    """
    if low <= 0:
        raise ValueError(f"a logarithmic axis cannot start at {low}")
    powers = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    ticks: list[float] = []
    for steps in _STEPS:
        ticks = [step * 10.0**power for power in powers for step in steps if low <= step * 10.0**power <= high]
        if len(ticks) >= 3:
            break
    return ticks


def speed_limits(cases: Collection[Record]) -> tuple[float, float]:
    """The ends of a logarithmic axis that holds the speeds and quartiles of some finished cases, with room beside."""
    values = [value for case in cases for value in quartiles(case)]
    room = max((max(values) / min(values)) ** 0.12, 1.15)
    return min(values) / room, max(values) * room


def mark_area(case: Record, most: float) -> float:
    """Square points: in proportion to the parameters, `most` for the largest mark, but never too small to be seen."""
    return max(_LARGEST * case.metrics.get("params", 0.0) / most, _SMALLEST) if most else 50.0


def _panel(benchmark: Benchmark, cases: Mapping[int, Record]) -> _Panel:
    names = case_names(benchmark, GROUPED_BY)
    return _Panel(group_label(benchmark, cases), cases, [names[row - 1] for row in cases])


def _height(panel: _Panel) -> float:
    return (_PANEL_HEAD if panel.heading else 0) + panel.inches + _AXIS + _NOTE_LINE * (len(panel.notes) + 1)


def _notes(panel: _Panel) -> list[str]:
    if not panel.marked:
        return ["Bar: median over rounds · whisker: quartiles"]
    notes = [
        "Accuracy: published with the networks, not measured here · whisker: quartiles of the speed over rounds"
        + _sizes(panel.marked)
    ]
    fastest = fastest_of_each_network(panel.cases).values()
    if len(fastest) < sum(speed_of(case) is not None for case in panel.cases.values()):
        notes.append("Each network at the fastest of its settings.")
    unpublished = [case for case in fastest if "top1" not in case.metrics]
    if unpublished:
        named = ", ".join(f"{model_of(case)} {measured(speed_of(case))} images/s" for case in unpublished)
        notes.append(f"Not drawn, without a published accuracy: {named}.")
    failed = [name for name, case in zip(panel.names, panel.cases.values(), strict=True) if case.error is not None]
    if failed:
        notes.append(f"Failed: {'; '.join(failed)}.")
    return notes


def _sizes(cases: Sequence[Record]) -> str:
    params = [case.metrics["params"] for case in cases if "params" in case.metrics]
    if not params:
        return ""
    ends = dict.fromkeys((quantity(min(params)), quantity(max(params))))
    return f" · area: parameters, {' to '.join(ends)}"


def _draw_marks(axes: Axes, cases: Sequence[Record]) -> None:
    """Networks as marks with their names, which stand where they cover nothing; a line leads to those further off."""
    _style(axes)
    axes.spines["left"].set_color(RULE)
    axes.grid(axis="y", color=RULE, linewidth=0.6)
    axes.tick_params(axis="y", color=RULE, labelcolor=INK, labelsize=8.5, length=3)
    axes.set_ylabel("published ImageNet-1K top-1, %", size=9, color=INK)
    axes.set_xscale("log")
    limits = speed_limits(cases)
    axes.set_xlim(*limits)
    ticks = speed_ticks(*limits)
    axes.set_xticks(ticks, [f"{tick:,.10g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    top1 = [case.metrics["top1"] for case in cases]
    room = max(0.14 * (max(top1) - min(top1)), 0.5)
    axes.set_ylim(min(top1) - room, min(max(top1) + room, 100.0))
    most = max((case.metrics.get("params", 0.0) for case in cases), default=0.0)
    for case in sorted(cases, key=lambda case: -mark_area(case, most)):  # small marks upon large ones
        low, median, high = quartiles(case)
        axes.errorbar(
            median, case.metrics["top1"], xerr=[[median - low], [high - median]], color=INK, elinewidth=1.3,
            zorder=3,
        )  # fmt: skip
        axes.scatter(median, case.metrics["top1"], s=mark_area(case, most), color=BAR, edgecolors=EDGE, linewidths=0.8)
    _name_marks(axes, cases, most)


def _name_marks(axes: Axes, cases: Sequence[Record], most: float) -> None:
    """Write names where they lie on nothing, which only the pixels of drawn marks and names can tell."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.transforms import IdentityTransform

    canvas = axes.figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]
    names = [axes.text(0, 0, short(model_of(case), 36), size=8.5, color=INK, parse_math=False) for case in cases]
    sizes = [(name.get_window_extent(renderer).width, name.get_window_extent(renderer).height) for name in names]
    marks = []
    for case in cases:
        low, median, high = quartiles(case)
        (left, y), (middle, _), (right, _) = axes.transData.transform(
            [(value, case.metrics["top1"]) for value in (low, median, high)]
        )
        radius = math.sqrt(mark_area(case, most) / math.pi) * DPI / 72
        left, right = min(left, middle - radius), max(right, middle + radius)
        marks.append(Box(left, y - radius, right - left, 2 * radius))
    frame = axes.get_window_extent(renderer)
    places = place_labels(marks, sizes, Box(frame.x0, frame.y0, frame.width, frame.height))
    pixels = IdentityTransform()
    for name, mark, place in zip(names, marks, places, strict=True):
        name.set(verticalalignment="bottom", transform=pixels, x=place.left, y=place.bottom)
        if distance(place, mark) > mark.height / 2 + place.height:
            x, y = mark.left + mark.width / 2, mark.bottom + mark.height / 2
            nearest = (
                min(max(x, place.left), place.left + place.width),
                min(max(y, place.bottom), place.bottom + place.height),
            )
            axes.plot(*zip((x, y), nearest, strict=True), color=FAINT, linewidth=0.7, zorder=0.9, transform=pixels)


def _draw_bars(axes: Axes, panel: _Panel) -> None:
    """A bar for each case with its name above it, so that long names need no column of their own."""
    _style(axes)
    axes.xaxis.set_major_formatter("{x:,.10g}")
    axes.set_yticks([])
    axes.set_ylim(len(panel.cases) - 0.35, -0.65)
    speeds = [quartiles(case) for case in panel.cases.values() if speed_of(case) is not None]
    axes.set_xlim(0, 1.12 * max((high for _, _, high in speeds), default=1.0))
    across = axes.get_yaxis_transform()  # x as a share of the axes, y in rows
    for y, (case, name) in enumerate(zip(panel.cases.values(), panel.names, strict=True)):
        axes.text(
            0.003, y - 0.36, short(name, 100), transform=across, size=8.5, va="center", color=INK, parse_math=False
        )
        if speed_of(case) is None:
            axes.text(0.003, y + 0.08, "failed", transform=across, size=8.5, va="center", color=CLEAR, style="italic")
            continue
        low, median, high = quartiles(case)
        axes.barh(y + 0.08, median, height=0.42, color=BAR, edgecolor=EDGE, linewidth=0.4)
        axes.errorbar(
            median, y + 0.08, xerr=[[median - low], [high - median]], color=INK, elinewidth=1.1, capsize=3, capthick=1.1
        )
        axes.annotate(
            measured(median), (high, y + 0.08), xytext=(6, 0), textcoords="offset points", size=8.5, va="center",
            color=INK,
        )  # fmt: skip


def _style(axes: Axes) -> None:
    axes.spines[["left", "right", "top"]].set_color("none")
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(axis="x", color=RULE, labelcolor=INK, labelsize=8.5, length=3)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.set_xlabel("images/s", size=9, color=INK)
