"""The sections of training runs."""

from __future__ import annotations

from collections.abc import Sequence

from modernet.records import Record
from modernet.report.drawing.curves import learning_curves
from modernet.report.origin import origin
from modernet.report.section import Section
from modernet.report.training.labels import labels


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each data set that networks were trained on; see `Kind`."""
    by_data: dict[str, list[Record]] = {}
    for record in records:
        if record.kind == "train":
            by_data.setdefault(str(record.settings.get("data", {}).get("name", "unnamed data")), []).append(record)
    return [_section(data, runs) for data, runs in by_data.items()]


def _section(data: str, runs: Sequence[Record]) -> Section:
    names = labels(runs)
    labelled = list(zip(names, runs, strict=True))
    content = {
        "runs": labelled,
        "curves": learning_curves({name: [run] for name, run in labelled if run.history}, averaged=False),
        "origin": origin(runs, names, ", ".join),
    }
    return Section("training", f"Training on {data}", f"Training: {data}", content, runs)
