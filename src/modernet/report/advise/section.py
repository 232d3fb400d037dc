"""The sections of advice on which network to use."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import replace

from modernet.records import Metric, Record
from modernet.report.advise import tables, words
from modernet.report.advise.advice import KIND, Advice
from modernet.report.advise.chart import ROUNDS, rounds_chart, speed_chart, write_advice_png
from modernet.report.origin import origin
from modernet.report.section import Chart, Image, Section

STUDY = "advise"
_SAME = ("name", "classes", "n_train", "n_validation", "n_test")
"""What all trainings of an advice have in common of the data. The fingerprint is not of it: it depends on how images
are prepared, which is up to the weights that a training starts from."""


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each advice, with the training runs behind it; see `Kind`."""
    pending = [record for record in records if record.kind == "train" and record.settings.get("study") == STUDY]
    found = []
    for record in records:
        if record.kind == KIND:
            advice = Advice.from_record(record)
            runs = [run for run in pending if _is_of(run, advice)]
            pending = [run for run in pending if run not in runs]
            found.append(_section(advice, record, runs))
    return found


def _is_of(run: Record, advice: Advice) -> bool:
    """Return whether a training run is one of an advice: on the same images, for the same task."""
    data, task = run.settings.get("data", {}), run.settings.get("task", "classification")
    return bool(task == advice.task and all(data.get(name) == advice.data.get(name) for name in _SAME))


def _section(advice: Advice, record: Record, runs: Sequence[Record]) -> Section:
    metric = record.primary
    name = str(advice.data.get("name", "unnamed data"))
    facts = replace(record, settings={"data": dict(advice.data)})  # of an advice, the recipe is a name
    content = {
        "conditions": _conditions(advice),
        "findings": words.advice_words(advice, metric),
        "failures": words.failures(advice),
        "charts": _charts(advice, metric),
        "candidates": [
            (each.name, words.fate(advice, each), words.start(each), each.name == advice.pick)
            for each in advice.considered
        ],
        "columns": [column for column in tables.columns(advice, metric) if not column.text],
        "legend": tables.legend(advice, metric),
        "not_tried": advice.not_tried,
        "origin": origin([*runs, facts], [*(str(run.settings.get("model", run.name)) for run in runs), ""], ", ".join),
    }
    return Section(
        "advise",
        f"What to use for {name}",
        f"Advice: {name}",
        content,
        [record, *runs],
        Image("advice", functools.partial(write_advice_png, advice, metric)),
    )


def _conditions(advice: Advice) -> str:
    parts = [
        advice.task.replace("_", " "),
        f"recipe {advice.recipe}",
        words.limits(advice) or "no limits",
        f"{words.time_spent(advice)} spent",
        f"seed {advice.seed}",
    ]
    return " · ".join(parts)


def _charts(advice: Advice, metric: Metric) -> list[Chart]:
    charts = []
    if (rounds := rounds_chart(advice, metric)) is not None:
        charts.append(Chart(ROUNDS, rounds))
    if (speed := speed_chart(advice, metric)) is not None:
        chart, caption = speed
        charts.append(Chart(caption, chart))
    return charts
