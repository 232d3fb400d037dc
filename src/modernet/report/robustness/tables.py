"""The tables of a comparison: its networks, and their errors under corruption."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from modernet.report.notation import heading, number, plural, with_unit
from modernet.report.robustness.summary import (
    Comparison,
    Corrupted,
    Network,
    shifts_of,
    suite_title,
    suite_words,
    worst_and_best,
)
from modernet.report.robustness.table import Cell, Row, Table, cell, cell_of, lines, shifted_cell

_PARTS = "10 of 75: over that many of all corruptions and severities."
_ABOUT_CLASSIFIERS = (
    "In per cent; in brackets: 95 % intervals over images; ↓ lower is better. mCE: error relative to that of the "
    f"baseline, mean over corruptions. Mean error: without a baseline. {_PARTS} ECE: how far confidence is from "
    "accuracy. Clean: accuracy on the usual images of the same classes. n: images."
)
_ABOUT_DENSE = (
    f"In per cent. mPC: mean over severities, then over corruptions. rPC: mPC as a share of clean performance. {_PARTS}"
)
_SEVERITIES = 5
_ELSEWHERE = ("calibration_", "resolution_", "translation_", "bias_")  # metrics that other tables hold


def summary_table(comparison: Comparison) -> Table:
    """Return a row for each network: its accuracy without corruption next to every other number."""
    columns: dict[str, tuple[str, Callable[[Network], Cell]]] = {"clean_top1": ("Top-1, clean", cell_of("clean_top1"))}
    for suite in comparison.suites:
        title = suite_title(suite)
        columns[f"{suite}_mce"] = (f"mCE, {title} ↓", cell_of(f"{suite}_mce", 1))
        columns[f"{suite}_relative_mce"] = (f"Relative mCE, {title} ↓", cell_of(f"{suite}_relative_mce", 1))
        columns[f"{suite}_mean_error"] = (f"Mean error, {title} ↓", cell_of(f"{suite}_mean_error", suite=suite))
    for name, title in comparison.shifted.items():
        columns[f"{name}_top1"] = (f"Top-1, {title}", shifted_cell(name))
    columns["calibration_ece"] = ("ECE ↓", cell_of("calibration_ece"))
    smallest = min((shift for network in comparison.networks for shift in shifts_of(network)), default=1)
    columns[f"translation_{smallest}_consistency"] = (
        f"Same answer, shifted by {plural(smallest, 'pixel')}",
        cell_of(f"translation_{smallest}_consistency"),
    )
    beside = {f"{name}_clean_top1" for name in comparison.shifted}
    for network in comparison.networks:
        for metric in network.record.task_metrics:
            if metric.name not in beside and metric.name not in columns and not metric.name.startswith(_ELSEWHERE):
                arrow = "" if metric.higher_is_better else " ↓"
                over = next((suite for suite in comparison.suites if metric.name.startswith(f"{suite}_")), None)
                columns[metric.name] = (f"{heading(metric.title)}{arrow}", cell_of(metric.name, metric.digits, over))
    measured = {name for network in comparison.networks for name in network.record.metrics}
    shown = [columns[name] for name in columns if name in measured]
    rows = [
        Row(
            network.label,
            f"Failed: {network.record.error}" if network.record.error is not None else "",
            [*(show(network) for _, show in shown), Cell(number(network.record.metrics.get("n"), 0))],
            failed=network.record.error is not None,
        )
        for network in comparison.networks
    ]
    return Table(
        "Networks",
        _ABOUT_DENSE if comparison.measure.higher_is_better else _ABOUT_CLASSIFIERS,
        ["Network", *(title for title, _ in shown), "n"],
        rows,
    )


def means_table(comparison: Comparison, suite: str) -> Table:
    """Return a row for each corruption: the mean and the CE of each network, side by side."""
    networks = [network for network in comparison.networks if network.corrupted(suite)]
    found = {network.label: {each.name: each for each in network.corrupted(suite)} for network in networks}
    names = dict.fromkeys(name for by_name in found.values() for name in by_name)
    rows = []
    for name in names:
        cells = []
        for network in networks:
            each = found[network.label].get(name)
            shown = cell(None if each is None else each.mean, network.digits)
            ce = "" if each is None or each.ce is None else f"CE {number(each.ce.value, 1)}"
            cells.append(Cell(shown.value, lines(*shown.below, ce, _only(each))))
        rows.append(Row(name, "", cells))
    with_intervals = "" if comparison.measure.higher_is_better else ", with its interval"
    return Table(
        f"{heading(f'mean {comparison.measure.short}')}, {suite_words(suite)}",
        f"{heading(comparison.measure.title)} in per cent, mean over severities{with_intervals}."
        f"{_about_ce(found.values())}",
        ["Corruption", *found],
        rows,
    )


def severity_table(comparison: Comparison, suite: str) -> Table:
    """Return a row for each corruption and network: each severity, their mean and the CE."""
    found = {network.label: {each.name: each for each in network.corrupted(suite)} for network in comparison.networks}
    names = dict.fromkeys(name for by_name in found.values() for name in by_name)
    severities = sorted({s for by_name in found.values() for each in by_name.values() for s in each.values})
    ce = _about_ce(found.values())
    several = len(comparison.networks) > 1
    rows = []
    for name in names:
        for network in comparison.networks:
            each = found[network.label].get(name)
            if each is None:
                continue
            digits = network.digits
            cells = [Cell(number(each.values.get(severity), digits)) for severity in severities]
            cells.append(cell(each.mean, digits))
            if ce:
                cells.append(cell(each.ce, 1))
            rows.append(Row(name, network.label if several else "", cells))
    intervals = "" if comparison.measure.higher_is_better else " Intervals are over images."
    return Table(
        f"{heading(comparison.measure.short)} by severity, {suite_words(suite)}",
        f"{heading(comparison.measure.title)} in per cent at each severity, and their mean.{ce}{intervals}",
        ["Corruption", *map(str, severities), "Mean", *(["CE"] if ce else [])],
        rows,
    )


def findings(comparison: Comparison) -> list[str]:
    """Return a sentence for each network, computed from the numbers: what hurts it most, and least.

    They are about the first suite of corruptions, if it has four or more; of more than three networks, there are none.
    """
    sentences: list[str] = []
    if len(comparison.networks) > 3:
        return sentences
    for suite in comparison.suites[:1]:
        for network in comparison.networks:
            measure, digits = network.measure, network.digits
            clean = measure.clean(network)
            if math.isnan(clean) or len(network.corrupted(suite)) < 4:
                continue
            worst, best = worst_and_best(network, suite)
            hurt = ", ".join(f"{each.name} ({with_unit(each.mean.value, digits, '%')})" for each in worst)
            sentences.append(
                f"{network.label}: {measure.words(with_unit(clean, digits, '%'))} on clean images; worst under "
                f"{hurt}; best under {best.name} ({with_unit(best.mean.value, digits, '%')})."
            )
    return sentences


def _only(corrupted: Corrupted | None) -> str:
    """Return the severities that a mean is over; empty if they are all."""
    if corrupted is None or len(corrupted.values) == _SEVERITIES:
        return ""
    return f"severity {', '.join(map(str, sorted(corrupted.values)))}"


def _about_ce(found: Iterable[Mapping[str, Corrupted]]) -> str:
    """Return what CE is, after a sentence; empty if no network has one."""
    measured = any(each.ce is not None for by_name in found for each in by_name.values())
    return " CE: the mean relative to that of the baseline." if measured else ""
