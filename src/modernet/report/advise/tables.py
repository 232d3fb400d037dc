"""The table of all candidates: for the terminal and for the page."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from modernet.records import CLASSIFICATION, Metric
from modernet.report.advise.advice import Advice, Considered
from modernet.report.advise.standings import last_standing
from modernet.report.advise.words import fate, percent, span
from modernet.report.notation import MISSING, measured, number, quantity

_PROBES = {"linear": "Linear probe", "knn": "k-NN"}


class Cell(NamedTuple):
    """A value, a detail in small print, and whether the value is beyond a limit."""

    value: str
    detail: str = ""
    beyond: bool = False


class Column(NamedTuple):
    """A heading and a cell for each candidate; `text` columns are aligned left, others right."""

    heading: str
    cells: tuple[Cell, ...]
    text: bool = False


def advice_table(advice: Advice, metric: Metric = CLASSIFICATION[0]) -> list[list[str]]:
    """Return the headings, then a row for each candidate in the order of the advice.

    Args:
        metric: the task's primary one, which the scores are of.
    """
    shown = [Column("Network", tuple(Cell(each.name) for each in advice.considered)), *columns(advice, metric)]
    shown.append(Column("How far it came", tuple(Cell(fate(advice, each)) for each in advice.considered)))
    rows = zip(*(column.cells for column in shown), strict=True)
    headings = [column.heading for column in shown]
    return [headings, *([" ".join(filter(None, cell[:2])) for cell in row] for row in rows)]


def columns(advice: Advice, metric: Metric) -> list[Column]:
    """Return the columns of what is known of the candidates, without those that are empty."""
    known: list[Column] = [
        _column(advice, "Chance", lambda each: Cell(MISSING if each.chance is None else percent(each.chance))),
        _column(advice, "Params", lambda each: Cell(quantity(each.params))),
        _column(advice, "MACs", lambda each: Cell(quantity(each.macs))),
        _column(advice, "ms", lambda each: _limited(each.latency_ms, advice.limits, "max_latency_ms")),
        _column(advice, "MB", lambda each: _limited(each.memory_mb, advice.limits, "max_memory_mb")),
        _column(advice, "Images/s", lambda each: Cell(measured(each.images_per_second))),
        *(_probe_column(advice, name) for name in _probes(advice)),
        _column(advice, f"Validation {metric.title}", lambda each: _validation(advice, each, metric)),
        _column(advice, "Epochs", lambda each: _epochs(advice, each, metric)),
        _column(advice, f"Test {metric.title}", lambda each: _test(each, metric)),
        _column(advice, "Weights", lambda each: Cell(each.weights or MISSING), text=True),
        _column(advice, "Licence", _licence, text=True),
    ]
    return [column for column in known if any(cell.value != MISSING for cell in column.cells)]


def legend(advice: Advice, metric: Metric) -> str:
    """Return what the columns mean."""
    headings = {column.heading for column in columns(advice, metric)}
    sentences = []
    if "Chance" in headings:
        sentences.append("Chance: estimated probability that no other is better.")
    if "ms" in headings:
        sentences.append(
            "ms, MB: latency and peak memory for one image, measured here; ! is beyond the limit asked for."
        )
    if any(title in headings for title in _PROBES.values()):
        sentences.append(
            "Linear probe, k-NN: accuracy on the validation split of classifiers on frozen features, in %."
        )
    sentences.append(
        f"Validation {metric.title}: of the longest training that finished, with its 95 % interval; scores of "
        "trainings of different lengths do not compare."
    )
    if f"Test {metric.title}" in headings:
        sentences.append("Test: of the last training of those that came to the end; nothing was decided by it.")
    return " ".join(sentences)


def _column(advice: Advice, heading: str, write: Callable[[Considered], Cell], *, text: bool = False) -> Column:
    return Column(heading, tuple(map(write, advice.considered)), text)


def _probes(advice: Advice) -> list[str]:
    return list(dict.fromkeys(name for each in advice.considered for name in each.probes))


def _probe_column(advice: Advice, name: str) -> Column:
    return _column(advice, _PROBES.get(name, name), lambda each: Cell(number(each.probes.get(name), 1)))


def _limited(value: float | None, limits: Mapping[str, float], name: str) -> Cell:
    beyond = value is not None and name in limits and value > limits[name]
    return Cell(measured(value) + (" !" if beyond else ""), beyond=beyond)


def _validation(advice: Advice, each: Considered, metric: Metric) -> Cell:
    standing = last_standing(advice, each, metric)
    if standing is None:
        return Cell("failed") if each.trials else Cell(MISSING)
    digits = metric.digits_for(standing.n)
    return Cell(number(standing.score, digits), span(standing, digits))


def _epochs(advice: Advice, each: Considered, metric: Metric) -> Cell:
    standing = last_standing(advice, each, metric)
    return Cell(MISSING if standing is None else str(standing.epochs))


def _test(each: Considered, metric: Metric) -> Cell:
    return Cell(number(each.test, metric.digits_for(max((trial.n for trial in each.trials), default=None))))


def _licence(each: Considered) -> Cell:
    return Cell(MISSING if each.licence is None else each.licence or "not stated")
