"""The sections of evaluations, of whole networks and of probes of their features."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from modernet.records import Metric, Record, worst_classes
from modernet.report import notation
from modernet.report.drawing.errors import errors, write_errors_png
from modernet.report.drawing.reconstructions import reconstructions, reconstructions_image
from modernet.report.labels import examples_of, labels
from modernet.report.origin import origin
from modernet.report.section import Image, Section

_MOST_CLASSES = 12
_TITLES = {"evaluate": "Evaluation", "probe": "Probes"}
"""Kind of record -> what its sections are called."""


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each data set, split and task that networks were evaluated on; see `Kind`."""
    groups: dict[tuple[str, str, str, str, tuple[Metric, ...]], list[Record]] = {}
    for record in records:
        if record.kind in _TITLES:
            data = record.settings.get("data", {})
            name, images = str(data.get("name", "unnamed data")), str(data.get("fingerprint", ""))
            split = str(record.settings.get("split", "test"))
            groups.setdefault((record.kind, name, images, split, record.task_metrics), []).append(record)
    images_of: dict[tuple[str, str], set[str]] = {}
    for kind, name, images, _, _ in groups:
        images_of.setdefault((kind, name), set()).add(images)
    return [
        _section(
            kind, f"{name} ({images})" if images and len(images_of[kind, name]) > 1 else name, split, metrics, runs
        )
        for (kind, name, images, split, metrics), runs in groups.items()
    ]


def _section(kind: str, data: str, split: str, metrics: Sequence[Metric], runs: Sequence[Record]) -> Section:
    names = labels(runs)
    labelled = list(zip(names, runs, strict=True))
    measured = [metric for metric in metrics if any(run.score(split, metric) is not None for run in runs)]
    found = [errors(name, run) for name, run in labelled]
    drawn = [each for each in found if each.has_charts]
    reconstructed = [each for name, run in labelled if (each := reconstructions(name, run)) is not None]
    content = {
        "split": split,
        "examples": examples_of(runs[0]),
        "metrics": measured,
        "primary": metrics[0],
        "rows": [(name, [_value(run, split, metric) for metric in measured], _n(run, split)) for name, run in labelled],
        "chosen": [(name, *_chosen(run)) for name, run in labelled if kind == "probe"],
        "worst": [(name, *worst) for name, run in labelled if (worst := _worst_classes(run))[1]],
        "errors": [each for each in found if each.shown],
        "reconstructed": reconstructed,
        "origin": origin(runs, names, ", ".join),
    }
    title = f"{_TITLES[kind]} on {data}"
    image = (
        Image("evaluation", functools.partial(write_errors_png, f"Errors on {data}", split, drawn)) if drawn else None
    )
    if reconstructed:
        image = reconstructions_image(data, reconstructed)
    return Section("evaluation", title, f"{_TITLES[kind]}: {data}", content, runs, image)


def _value(run: Record, split: str, metric: Metric) -> str:
    """Format a metric with its interval, if it has one."""
    digits = metric.digits_for(run.metrics.get(f"{split}_n"))
    text = notation.number(run.score(split, metric), digits)
    ends = [run.metrics.get(f"{split}_{metric.name}_{end}") for end in ("low", "high")]
    return text if None in ends else f"{text} [{', '.join(notation.number(end, digits) for end in ends)}]"


def _chosen(run: Record) -> tuple[str, int, float, int]:
    """Return the features of a probe, their length, and the strength and the number of neighbours that were chosen."""
    linear, knn = (run.details["probes"][name]["chosen"] for name in ("linear", "knn"))
    return run.settings["features"], run.settings["channels"], linear, knn


def _n(run: Record, split: str) -> str:
    return notation.number(run.metrics.get(f"{split}_n"), 0)


def _worst_classes(run: Record) -> tuple[str, list[tuple[str, str, str]]]:
    """Return the title of the metric of the classes, and the classes that have the lowest, with that and their n."""
    primary = {"name": run.primary.name, "title": run.primary.title}
    metric = run.details.get("class_metric", primary)
    name = metric["name"]
    worst = worst_classes(run.details.get("per_class", {}), name, _MOST_CLASSES)
    rows = [(label, notation.number(row[name], 1), notation.number(row.get("n"), 0)) for label, row in worst]
    return metric["title"], rows
