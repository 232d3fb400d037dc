"""A factorial study as one picture: a line an effect, decisions above, interactions below."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from modernet.files.atomic import whole_file
from modernet.report.drawing.chart_style import CLEAR, DOT, DPI, FAINT, INK, RULE, SIDE, WIDTH, short
from modernet.report.factorial.effects import Effect
from modernet.report.factorial.summary import Factorial
from modernet.report.factorial.tables import conditions, effect_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_ROW_HEIGHT, _HEAD, _FOOT = 0.27, 0.95, 0.95  # inches
_NAMES, _EFFECTS = 0.43, 0.36  # columns, as shares of the width
_LONGEST_NAME = 58


def factorial_chart(study: Factorial, path: Path) -> None:
    """Draw the effects of a study as a PNG, 1800 pixels wide: dots with their 95 % intervals.

    An effect that is aliased has the first of its names, with an ellipsis; the tables have them all.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    effects = study.effects.effects if study.effects else ()
    height = _HEAD + _ROW_HEIGHT * (len(effects) + 1) + _FOOT
    figure = Figure(figsize=(WIDTH, height), dpi=DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((_NAMES, _FOOT / height, _EFFECTS, 1 - (_HEAD + _FOOT) / height))
    axes.set_ylim(len(effects) + 0.7, -0.6)
    axes.set_yticks([])
    axes.spines[["left", "right", "top"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(axis="x", color=RULE, labelcolor=INK, labelsize=8.5, length=3)
    axes.set_axisbelow(True)
    axes.grid(axis="x", color=RULE, linewidth=0.6)
    axes.axvline(0, color=INK, linewidth=0.9)
    axes.set_xlabel("effect on test top-1, points", size=9, color=INK)
    _draw(axes, study, effects)

    def note(x: float, y_inches: float, text: str, size: float, color: str) -> None:
        figure.text(x, y_inches / height, text, size=size, color=color, va="baseline", ha="left")

    note(0.02, height - 0.34, short(f"Decisions of the road together, on {study.data}", 80), 13, INK)
    note(0.02, height - 0.58, short(conditions(study), 140), 8.5, FAINT)
    note(0.02, 0.30, "Dot: effect of a decision, or of an interaction (×). Line: 95 % interval over seeds.", 7.8, FAINT)
    stars = "* the interval excludes zero; ** also when all effects are judged together (Holm)."
    if any(len(effect.terms) > 1 for effect in effects):
        stars += " … these networks cannot tell it from another one: see the table."
    note(0.02, 0.12, stars, 7.8, FAINT)
    if not effects:
        axes.text(0.5, 0.5, "no effects: networks are missing", transform=axes.transAxes, ha="center", color=CLEAR)
    with whole_file(path) as unfinished:
        figure.savefig(unfinished, format="png", facecolor="white")


def _draw(axes: Axes, study: Factorial, effects: tuple[Effect, ...]) -> None:
    across = axes.get_yaxis_transform()
    mains = sum(effect.is_main for effect in effects)
    if 0 < mains < len(effects):
        axes.axhline(mains, color=RULE, linewidth=0.9)
    rows = effect_rows(study)
    for place, (effect, row) in enumerate(zip(effects, rows, strict=True)):
        y = place if effect.is_main else place + 1  # a line is free between decisions and interactions
        color = CLEAR if effect.excludes_zero else DOT
        if effect.low is not None and effect.high is not None:
            axes.plot([effect.low, effect.high], [y, y], color=color, linewidth=1.6, solid_capstyle="butt")
        axes.scatter(
            [effect.value], [y], s=20, color=color if effect.low is not None else SIDE, edgecolors=color, zorder=3
        )
        name = short(row.title, _LONGEST_NAME) + (" …" if row.aliases else "")
        axes.text(-0.02, y, name, transform=across, ha="right", va="center_baseline", size=8, color=INK)
        axes.text(
            1.03, y, f"{row.value}  {row.interval}", transform=across, va="center_baseline", size=8,
            color=color if effect.excludes_zero else FAINT, weight="bold" if effect.holds_among_all else "normal",
        )  # fmt: skip
