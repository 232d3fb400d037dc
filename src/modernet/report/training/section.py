"""The sections of training runs."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Sequence

from modernet.records import Metric, Record
from modernet.report.drawing.curves import learning_curves
from modernet.report.drawing.errors import errors, write_errors_png
from modernet.report.drawing.reconstructions import reconstructions, reconstructions_image
from modernet.report.labels import examples_of, labels
from modernet.report.origin import origin
from modernet.report.section import Image, Section


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
    found = [each for each in (errors(name, run) for name, run in labelled) if each.shown]
    reconstructed = [each for name, run in labelled if (each := reconstructions(name, run)) is not None]
    drawn = [each for each in found if each.has_charts]
    content = {
        "runs": labelled,
        "primary": primary,
        "examples": examples_of(runs[0]),
        "metrics": [
            primary,
            *(metric for metric in others if f"test_{metric.name}" in measured),
        ],
        "curves": learning_curves({name: [run] for name, run in labelled if run.history}, primary, averaged=False),
        "errors": found,
        "reconstructed": reconstructed,
        "origin": origin(runs, names, ", ".join),
    }
    image = Image("errors", functools.partial(write_errors_png, f"Errors on {title}", "test", drawn)) if drawn else None
    if reconstructed:
        image = reconstructions_image(title, reconstructed)
    return Section("training", f"Training on {title}", f"Training: {title}", content, runs, image)
