"""The metadata of a model card: what the Hub reads between the lines of dashes.

Its fields are those of https://github.com/huggingface/hub-docs/blob/main/modelcard.md. A field that is not known is
left out: a licence is never guessed, and data is only listed under `datasets` where its name is one of the Hub.
"""

from __future__ import annotations

import re
from typing import Any

from modernet.files.hub_file import HubFile
from modernet.report.card.results import Result, results
from modernet.report.card.subject import Card, started_from

LIBRARY = "modernet"
_TASKS = {
    "classification": "image-classification",
    "detection": "object-detection",
    "segmentation": "image-segmentation",
    "pretraining": "image-feature-extraction",
}
_SEQUENCES = {
    "words": "text-classification", "bytes": "text-classification", "characters": "text-classification",
    "grey_tokens": "image-classification", "grey": "image-classification", "sound": "audio-classification",
}  # fmt: skip
_METRICS = {"top1": "accuracy", "accuracy": "accuracy", "miou": "mean_iou"}
"""Our name -> the Hub's, of metrics that it has."""
_HUB = "hf:"


def metadata(card: Card) -> dict[str, Any]:
    """Return the metadata of a card, without what is not known."""
    found = results(card)
    pipeline = pipeline_tag(card)
    datasets = _datasets(card)
    known: dict[str, Any] = {
        "license": card.licence,
        "library_name": LIBRARY,
        "tags": list(dict.fromkeys([LIBRARY, card.task.replace("_", "-"), card.model])),
        "pipeline_tag": pipeline,
        "base_model": _base_model(card),
        "datasets": datasets or None,
        "metrics": list(dict.fromkeys(_METRICS[each.metric.name] for each in found if each.metric.name in _METRICS))
        or None,
        "model-index": [{"name": card.folder, "results": _index(card, found)}] if found else None,
    }
    return {name: value for name, value in known.items() if value is not None}


def pipeline_tag(card: Card) -> str | None:
    """Return the Hub's name of what the network does; None where it has none, as for point clouds."""
    if card.task == "sequences":
        return _SEQUENCES.get(str(card.network.get("encoding", {}).get("kind")))
    return _TASKS.get(card.task)


def hub_dataset(name: str) -> str | None:
    """Return the Hub's name of a data set that was opened from it, as `hf:org/name`; None for others."""
    found = re.fullmatch(r"[\w.-]+/[\w.-]+", name.removeprefix(_HUB).partition("@")[0].partition(":")[0])
    return found[0] if name.startswith(_HUB) and found else None


def _datasets(card: Card) -> list[str]:
    name = hub_dataset(str(card.run.settings.get("data", {}).get("name", "")))
    return [] if name is None else [name]


def _base_model(card: Card) -> str | None:
    weights = started_from(card.run)
    return weights.file.repo if weights is not None and isinstance(weights.file, HubFile) else None


def _index(card: Card, found: list[Result]) -> list[dict[str, Any]]:
    """Return a result for each data set and split, with its metrics."""
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for each in found:
        groups.setdefault((each.data, each.split, each.kind), []).append(each)
    task = pipeline_tag(card) or card.task.replace("_", "-")
    return [
        {
            "task": {"type": task},
            "dataset": {
                "name": f"{data}, robustness" if kind == "robustness" else data,
                "type": hub_dataset(data) or data,
                **({"split": split} if split else {}),
            },
            "metrics": [_metric(each) for each in group],
        }
        for (data, split, kind), group in groups.items()
    ]


def _metric(each: Result) -> dict[str, Any]:
    unit = f" ({each.metric.unit})" if each.metric.unit else ""
    kind = _METRICS.get(each.metric.name, each.metric.name)
    return {"type": kind, "value": round(each.value, each.digits), "name": f"{each.metric.title}{unit}"}
