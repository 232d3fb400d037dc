"""The road as one picture: a bar a step, from ResNet at the top to ConvNeXt at the bottom."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from modernet.files.atomic import whole_file
from modernet.report.drawing.chart_style import BAR, CLEAR, DOT, DPI, EDGE, FAINT, INK, MACS, RULE, SIDE, WIDTH, short
from modernet.report.notation import MISSING, number, quantity, signed
from modernet.report.road.summary import Road
from modernet.report.road.wording import conditions, interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_HEIGHT, _HEAD, _FOOT = 0.36, 1.12, 1.06  # inches
_NAMES, _BARS, _DIFFERENCES, _COUNTS = 0.205, 0.425, 0.165, 0.17  # columns, as shares of the width


def accuracy_limits(values: Sequence[float]) -> tuple[float, float]:
    """The ends of an axis of accuracies in per cent: close enough to see the differences, on round numbers.

    Zero is kept where the lowest value is near it; with no value the axis is the whole scale, 0 to 100.
    """
    if not values:
        return 0.0, 100.0
    low, high = min(values), max(values)
    width = max(high - low, 1.0)
    unit = next(unit for unit in (0.5, 1.0, 2.0, 5.0, 10.0, 20.0) if width <= 8 * unit or unit == 20.0)
    start = math.floor((low - 0.35 * width) / unit) * unit
    end = math.ceil((high + 0.06 * width) / unit) * unit
    return (0.0 if start < 0.25 * low else start), min(end, 100.0)


def shown_values(road: Road) -> list[float]:
    """Every accuracy that a chart of the road draws: seeds, and both ends of the whiskers."""
    values = [top1 for step in road.steps for top1 in step.test_scores]
    for step in road.steps:
        if step.test_mean is not None and step.test_std is not None:
            values += [max(step.test_mean - step.test_std, 0.0), min(step.test_mean + step.test_std, 100.0)]
    return values


def road_chart(road: Road, path: Path) -> None:
    """Draw the road as a PNG, 1800 pixels wide, after figure 2 of "A ConvNet for the 2020s".

    A bar is a step's mean test top-1, its whisker the standard deviation over seeds, its dots the seeds. Beside it
    stand the difference to the adopted step before, with its 95 % interval, and the MACs. The paper's ImageNet values
    are faint marks on a faint axis of their own at the top.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height = _HEAD + _ROW_HEIGHT * max(len(road.steps), 1) + _FOOT
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    bottom, share = _FOOT / height, 1 - (_HEAD + _FOOT) / height
    bars = figure.add_axes((_NAMES, bottom, _BARS, share))
    counts = figure.add_axes((_NAMES + _BARS + _DIFFERENCES, bottom, _COUNTS, share))
    rows = max(len(road.steps), 1)
    for axes in (bars, counts):
        axes.set_ylim(rows - 0.4, -0.6)
        axes.set_yticks([])
        axes.spines[["left", "right", "top"]].set_visible(False)
        axes.spines["bottom"].set_color(RULE)
        axes.tick_params(axis="x", color=RULE, labelcolor=INK, labelsize=8.5, length=3)
        axes.set_axisbelow(True)
        axes.grid(axis="x", color=RULE, linewidth=0.6)

    start = _draw_bars(bars, road)
    _draw_published(bars, road)
    _draw_differences(bars, road)
    _draw_counts(counts, road)

    def write(
        x: float, inches_from_top: float, text: str, size: float, color: str = INK, weight: str = "normal"
    ) -> None:
        figure.text(
            x, 1 - inches_from_top / height, text, size=size, color=color, weight=weight, va="center", parse_math=False
        )

    write(0.012, 0.24, short(f"From ResNet to ConvNeXt on {road.data}", 64), 14, weight="bold")
    write(0.012, 0.52, short(conditions(road), 120), 9.5, color=FAINT)
    side = any(step.side_step for step in road.steps)
    key = (
        "Bar: mean · whisker: ± standard deviation · dots: seeds"
        + (" · hatched: tried, not adopted" if side else "")
        + " · ◇ the paper, ImageNet-1K (axis above)\n"
        "Difference: to the adopted step before, in points, with its 95 % Welch interval over seeds; "
        "orange: it excludes zero"
        + (f"\nThe axis of the bars starts at {start:g} %, not at 0" if start else "")
    )  # fmt: skip
    figure.text(0.012, 0.08 / height, key, size=7.8, color=FAINT, va="bottom", linespacing=1.45)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png")


def _draw_bars(axes: Axes, road: Road) -> float:
    """Bars, whiskers, dots and names; returns where the axis starts."""
    start, end = accuracy_limits(shown_values(road))
    axes.set_xlim(start, end)
    axes.set_xlabel("test top-1, %", size=9, color=INK)
    across = axes.get_yaxis_transform()  # x as a share of the axes, y in rows
    for y, step in enumerate(road.steps):
        faint = step.side_step
        axes.text(
            -0.02, y, short(step.title, 24), transform=across, ha="right", va="center_baseline", size=9,
            color=FAINT if faint else INK, style="italic" if faint else "normal", parse_math=False,
        )  # fmt: skip
        if step.test_mean is None:
            why = "failed" if step.errors else "no finished run"
            axes.text(0.015, y, why, transform=across, va="center_baseline", size=8.5, color=CLEAR, style="italic")
            continue
        axes.barh(
            y, step.test_mean - start, left=start, height=0.66, color=SIDE if faint else BAR,
            edgecolor=EDGE, linewidth=0.4, hatch="////" if faint else None, hatch_linewidth=0.4,
        )  # fmt: skip
        if step.test_std is not None:
            axes.errorbar(step.test_mean, y, xerr=step.test_std, color=INK, elinewidth=1.1, capsize=5, capthick=1.1)
        axes.scatter(
            step.test_scores,
            [y] * step.seeds,
            s=12,
            color=DOT,
            edgecolors="white",
            linewidths=0.5,
            zorder=3,
            clip_on=False,
        )
        # The number stands at the foot of the bar, where no whisker and no dot can cross it.
        axes.text(
            0.03 if start else 0.015, y, number(step.test_mean, road.digits), transform=across,
            va="center_baseline", size=8.5, color=INK,
        )  # fmt: skip
        if start:  # a cut through the foot of the bar says that its length is not to be read from zero
            for x in (0.008, 0.016):
                axes.plot([x - 0.004, x + 0.004], [y + 0.45, y - 0.45], color="white", linewidth=1.6, transform=across)
    return start


def _draw_published(axes: Axes, road: Road) -> None:
    """The paper's values as open diamonds, on an axis of their own."""
    published = [(step.published_top1, y) for y, step in enumerate(road.steps) if step.published_top1 is not None]
    if not published:
        return
    other = axes.twiny()
    values = [value for value, _ in published]
    other.set_xlim(*accuracy_limits(values))
    other.spines[["left", "right", "bottom"]].set_visible(False)
    other.spines["top"].set_color(RULE)
    other.tick_params(axis="x", color=RULE, labelcolor=FAINT, labelsize=7.5, length=2, pad=1)
    of = f" of {road.published_of}" if road.published_of else ""
    other.set_xlabel(f"◇ published, ImageNet-1K top-1{of}, %", size=7.5, color=FAINT, labelpad=4)
    other.scatter(  # below the middle of the bar, out of the way of whisker and dots
        values, [y + 0.21 for _, y in published], marker="D", s=9, facecolors="white", edgecolors=FAINT, linewidths=0.8
    )


def _draw_differences(axes: Axes, road: Road) -> None:
    """The difference of each step and its interval, right of the bars."""
    across = axes.get_yaxis_transform()
    digits = road.digits
    axes.text(1.16, -0.95, "difference", transform=across, size=8.5, color=FAINT, va="center", ha="center")
    for y, step in enumerate(road.steps):
        if step.against is None:
            continue
        color = CLEAR if step.excludes_zero else INK if step.delta is not None else FAINT
        axes.text(
            1.125, y, signed(step.delta, digits) if step.delta is not None else MISSING, transform=across, size=9,
            va="center_baseline", ha="right", color=color, weight="bold" if step.excludes_zero else "normal",
        )  # fmt: skip
        axes.text(
            1.14, y, interval(step, digits), transform=across, size=7.5,
            va="center_baseline", color=CLEAR if step.excludes_zero else FAINT,
        )  # fmt: skip


def _draw_counts(axes: Axes, road: Road) -> None:
    """MACs as a dot on a stem with its number."""
    axes.set_xlabel("MACs", size=9, color=INK)
    macs = [step.macs for step in road.steps if step.macs is not None]
    axes.set_xlim(0, 1.3 * max(macs, default=1))
    axes.set_xticks([0])
    axes.set_xticklabels(["0"])
    for y, step in enumerate(road.steps):
        if step.macs is None:
            continue
        alpha = 0.5 if step.side_step else 1.0
        axes.plot([0, step.macs], [y, y], color=MACS, linewidth=1.1, alpha=alpha, solid_capstyle="butt")
        axes.scatter([step.macs], [y], marker="D", s=16, color=MACS, alpha=alpha, linewidths=0, zorder=3)
        axes.annotate(
            quantity(step.macs), (step.macs, y), xytext=(5, 0), textcoords="offset points", size=7.8,
            va="center_baseline", color=INK, alpha=0.7 if step.side_step else 1.0,
        )  # fmt: skip
