"""Texts and tables of a factorial study: its conditions, its effects as rows, its findings."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from modernet.report.factorial.effects import Effect
from modernet.report.factorial.summary import Factorial
from modernet.report.notation import MISSING, interval, number, points, signed

if TYPE_CHECKING:
    from rich.table import Table

_LEGEND = (
    "Effects {unit}test {title}: the mean over all networks with the decision minus that over all without it. "
    "An interaction is the gain of a decision's effect where the other one is on, and its loss where it is off. "
    "95 % intervals (Student's) from the variance of seeds, pooled over networks; * the interval excludes zero; "
    "** it also holds when all effects are judged together (Holm)."
)
TIMES = "×"


def legend(study: Factorial) -> str:
    """Return what the columns of effects mean."""
    unit = points(study.metric)
    return _LEGEND.format(title=study.metric.title, unit=f"in {unit} of " if unit else "on ")


@dataclass(frozen=True)
class EffectRow:
    """One effect as text: its decisions, value, interval with stars, and the effects it is aliased with."""

    title: str
    value: str
    interval: str
    aliases: str


def effect_rows(study: Factorial) -> list[EffectRow]:
    """Return the effects as printed: decisions first, then interactions, the largest first."""
    digits = study.digits
    rows = []
    for effect in study.effects.effects if study.effects else ():
        names = [term_title(study, term) for term in effect.terms]
        rows.append(
            EffectRow(
                names[0],
                signed(effect.value, digits),
                f"{interval(effect.interval, digits)}{_stars(effect)}",
                f"or {', '.join(names[1:])}, or their sum" if len(names) > 1 else "",
            )
        )
    return rows


def term_title(study: Factorial, term: tuple[str, ...]) -> str:
    """Format a decision or an interaction: `Kernel 7x7 × ReLU to GELU`."""
    return f" {TIMES} ".join(study.decisions[name] for name in term)


def conditions(study: Factorial) -> str:
    """Format the conditions of a study in one line."""
    parts = [f"size {study.size}"]
    if study.image_size is not None:
        parts.append(f"{study.image_size}×{study.image_size} pixels")
    counts = " to ".join(map(str, study.seeds))
    parts.append(f"{study.planned} networks, {counts} {'seed' if counts == '1' else 'seeds'} each")
    if study.n_test is not None:
        parts.append(f"{number(study.n_test, 0)} test images")
    return " · ".join([*parts, *study.devices])


def findings(study: Factorial) -> str:
    """Return a few sentences computed from the numbers, which claim no more than the intervals allow."""
    if study.effects is None:
        missing = "one network has" if study.missing == 1 else f"{study.missing} networks have"
        return f"Of {study.planned} networks, {missing} no finished run yet; effects are computed when all have one."
    effects = study.effects.effects
    if study.effects.noise_std is None:
        return "No effect has an interval: that takes two seeds of a network with different results."
    digits = study.digits
    named = [effect for effect in effects if effect.holds_among_all]
    alone = [effect for effect in effects if effect.excludes_zero]
    has = "has" if len(alone) == 1 else "have"
    first = (
        f"Of {len(effects)} effects, {len(alone)} {has} an interval that excludes zero, where chance alone would give "
        f"about {len(effects) / 20:.1f}; {len(named) or 'none'} hold{'s' if len(named) == 1 else ''} when all are "
        "judged together"
    )
    if named:
        first += ": " + "; ".join(
            f"{' or '.join(term_title(study, term) for term in effect.terms)} ({signed(effect.value, digits)})"
            for effect in named
        )
    sentences = [f"{first}."]
    if study.effects.unexplained_p is not None and study.effects.unexplained_p < 0.05:
        sentences.append(
            "The networks differ by more than these effects and chance explain "
            f"(lack of fit, p = {study.effects.unexplained_p:.2g}): three or more decisions interact."
        )
    return " ".join(sentences)


def failures(study: Factorial) -> list[str]:
    """Return a line for each distinct error of a network."""
    return [
        f"Failed: network {network.number}: {error}"
        for network in study.networks
        for error in dict.fromkeys(network.errors)
    ]


def factorial_table(study: Factorial) -> Table:
    """Return the effects as a table for the terminal."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    notes = [findings(study), legend(study), *failures(study)]
    table = Table(
        box=SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
        min_width=78,  # the notes below are as wide
        title=Text(f"Decisions of the road together, on {study.data}\n{conditions(study)}"),
        caption=Text("\n".join(notes)),
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("Decision", overflow="fold")
    table.add_column("Effect", justify="right", no_wrap=True)
    table.add_column("95 %", no_wrap=True)
    for row in effect_rows(study):
        title = f"{row.title}\n  {row.aliases}" if row.aliases else row.title
        table.add_row(*(Text(cell or MISSING) for cell in (title, row.value, row.interval)))
    return table


def _stars(effect: Effect) -> str:
    return " **" if effect.holds_among_all else " *" if effect.excludes_zero else ""
