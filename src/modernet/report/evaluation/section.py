"""The sections of evaluations."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from modernet.records import Metric, Record
from modernet.report import notation
from modernet.report.drawing.errors import errors, write_errors_png
from modernet.report.origin import origin
from modernet.report.section import Image, Section

_MOST_CLASSES = 12


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each data set, split and task that networks were evaluated on; see `Kind`."""
    groups: dict[tuple[str, str, tuple[Metric, ...]], list[Record]] = {}
    for record in records:
        if record.kind == "evaluate":
            data = str(record.settings.get("data", {}).get("name", "unnamed data"))
            groups.setdefault((data, str(record.settings.get("split", "test")), record.task_metrics), []).append(record)
    return [_section(data, split, metrics, runs) for (data, split, metrics), runs in groups.items()]


def _section(data: str, split: str, metrics: Sequence[Metric], runs: Sequence[Record]) -> Section:
    measured = [metric for metric in metrics if any(run.score(split, metric) is not None for run in runs)]
    found = [errors(run.name, run) for run in runs]
    drawn = [each for each in found if each.confusion is not None or each.curves is not None]
    content = {
        "split": split,
        "metrics": measured,
        "primary": metrics[0],
        "rows": [(run.name, [_value(run, split, metric) for metric in measured], _n(run, split)) for run in runs],
        "worst": [(run.name, classes) for run in runs if (classes := _worst_classes(run))],
        "errors": [each for each in found if each.pairs or each.confusion or each.curves],
        "origin": origin(runs, [run.name for run in runs], ", ".join),
    }
    title = f"Evaluation on {data}"
    image = Image("evaluation", functools.partial(write_errors_png, f"Errors on {data}", drawn)) if drawn else None
    return Section("evaluation", title, f"Evaluation: {data}", content, runs, image)


def _value(run: Record, split: str, metric: Metric) -> str:
    """Format a metric with its interval, if it has one."""
    digits = metric.digits_for(run.metrics.get(f"{split}_n"))
    text = notation.number(run.score(split, metric), digits)
    ends = [run.metrics.get(f"{split}_{metric.name}_{end}") for end in ("low", "high")]
    return text if None in ends else f"{text} [{', '.join(notation.number(end, digits) for end in ends)}]"


def _n(run: Record, split: str) -> str:
    return notation.number(run.metrics.get(f"{split}_n"), 0)


def _worst_classes(run: Record) -> list[tuple[str, str, str]]:
    """Return the classes with the lowest values of the first metric that they have, with that and their n."""
    rows = run.details.get("per_class", {})
    name = next((key for row in rows.values() for key in row if key != "n"), "")
    worst = sorted((row[name], -row.get("n", 0), label) for label, row in rows.items() if name in row)
    return [(label, notation.number(value, 1), notation.number(-n or None, 0)) for value, n, label in worst][
        :_MOST_CLASSES
    ]
