"""The sections of comparisons."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

from modernet.records import Record
from modernet.report.compare import tables, words
from modernet.report.compare.analysis import LATENCY, SPEED, Comparison, summarise_comparisons
from modernet.report.compare.chart import (
    differences_chart,
    differences_note,
    front_chart,
    front_note,
    title,
    write_compare_png,
)
from modernet.report.drawing.curves import learning_curves
from modernet.report.origin import origin
from modernet.report.section import Chart, Image, Section


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each comparison, which has its training runs too; see `Kind`."""
    return [_section(comparison) for comparison in summarise_comparisons(records)]


def _section(comparison: Comparison) -> Section:
    charts = []
    if (front := front_chart(comparison)) is not None:
        about = f"Test {comparison.metric.title} against images per second."
        charts.append(Chart(f"{about} {front_note(comparison)}", front))
    if (gaps := differences_chart(comparison)) is not None:
        about = f"Difference of each candidate to {comparison.candidates[0].name}."
        charts.append(Chart(f"{about} {differences_note(comparison)}", gaps))
    runs = [record for record in comparison.records if record.kind == "train"]
    lines: dict[str, list[Record]] = {each.candidate: [] for each in comparison.all}
    for run in runs:
        if run.error is None and run.settings.get("phase") != "tuning":
            lines.setdefault(_candidate(run), []).append(run)
    # a candidate's record has the name of the recipe alone
    without_recipe = [
        replace(record, settings={name: value for name, value in record.settings.items() if name != "recipe"})
        for record in comparison.records
    ]
    told = runs or without_recipe
    content = {
        "comparison": comparison,
        "conditions": words.conditions(comparison),
        "conclusion": words.conclusion(comparison),
        "charts": charts,
        "columns": tables.columns(comparison),
        "rows": tables.rows(comparison),
        "legend": tables.legend(comparison),
        "pairs": tables.pair_rows(comparison),
        "about_interval": words.about_interval(comparison),
        "fronts": _fronts(comparison),
        "curves": learning_curves(
            {name: found for name, found in lines.items() if found}, comparison.metric, averaged=True
        ),
        "origin": origin(told, [_candidate(record) for record in told], _users),
    }
    return Section(
        "compare",
        title(comparison),
        f"Comparison: {comparison.any.data.get('name', 'unnamed data')}",
        content,
        comparison.records,
        Image("compare", functools.partial(write_compare_png, comparison)),
    )


def _fronts(comparison: Comparison) -> list[tuple[str, str]]:
    """Return what is compared with the score, and the candidates for which nothing is better in both."""
    found = []
    for cost, name in ((SPEED, "images per second"), (LATENCY, "latency")):
        names = [each.name for each in comparison.candidates if cost in each.fronts]
        if names:
            found.append((name, ", ".join(names)))
    return found


def _candidate(record: Record) -> str:
    return str(record.settings.get("candidate", record.settings.get("model", record.name)))


def _users(names: Sequence[str]) -> str:
    return ", ".join(dict.fromkeys(names))
