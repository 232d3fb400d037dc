"""The sections of training runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from modernet.records import Metric, Record
from modernet.report.drawing.curves import learning_curves
from modernet.report.origin import origin
from modernet.report.section import Section
from modernet.report.training.labels import labels


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each data set and task that networks were trained on; see `Kind`."""
    groups: dict[tuple[str, tuple[Metric, ...]], list[Record]] = {}
    for record in records:
        if record.kind == "train":
            data = str(record.settings.get("data", {}).get("name", "unnamed data"))
            groups.setdefault((data, record.task_metrics), []).append(record)
    tasks = Counter(data for data, _ in groups)
    return [
        _section(f"{data}, {metrics[0].title}" if tasks[data] > 1 else data, runs)
        for (data, metrics), runs in groups.items()
    ]


def _section(title: str, runs: Sequence[Record]) -> Section:
    names = labels(runs)
    labelled = list(zip(names, runs, strict=True))
    primary, *others = runs[0].task_metrics
    measured = {name for run in runs for name in run.metrics}
    content = {
        "runs": labelled,
        "primary": primary,
        "metrics": [
            primary,
            *(metric for metric in others if f"test_{metric.name}" in measured),
        ],
        "curves": learning_curves({name: [run] for name, run in labelled if run.history}, primary, averaged=False),
        "origin": origin(runs, names, ", ".join),
    }
    return Section("training", f"Training on {title}", f"Training: {title}", content, runs)
