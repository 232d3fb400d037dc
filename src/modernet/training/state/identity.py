"""What makes two runs the same run."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modernet.data import ImageDataset


def run_identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the numbers of a run, from its record's settings: task, network, data, recipe, seed.

    Flat and JSON-able. Text for people (titles, sources, published figures) is left out, so that rewording it does not
    make another run.
    """
    recipe = {key: value for key, value in settings["recipe"].items() if key not in ("name", "source")}
    network = {
        key: list(value) if isinstance(value, tuple) else value for key, value in settings["model_fields"].items()
    }
    if settings["model_kind"] == "model":  # a design is its fields
        network["model"] = settings["model"]
    data = {key: settings["data"][key] for key in ("image_size", "fingerprint") if key in settings["data"]}
    start = {"weights": settings["weights"]["fingerprint"]} if "weights" in settings else {}
    task = settings.get("task", "classification")  # early records do not name theirs
    return {"task": task, **recipe, "seed": settings["seed"], **network, **data, **start}


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """List where one identity differs from another: `lr 0.006, not 0.1`."""
    keys = [*wanted, *(key for key in found if key not in wanted)]
    return [f"{key} {found.get(key)!r}, not {wanted.get(key)!r}" for key in keys if found.get(key) != wanted.get(key)]


def file_fingerprint(path: Path) -> str:
    """A short digest of a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:12]


def fingerprint(dataset: ImageDataset) -> str:
    """A short digest of a data set: classes, the labels of each split in order, the mean colours of its images."""
    digest = hashlib.blake2b(repr(dataset.classes).encode(), digest_size=6)
    for split in (dataset.train, dataset.validation, dataset.test):
        digest.update(split.labels.cpu().numpy().tobytes())
    # rounded, because the last digits of a mean may depend on the number of threads
    digest.update(repr([round(value, 3) for value in (*dataset.mean, *dataset.std)]).encode())
    return digest.hexdigest()
