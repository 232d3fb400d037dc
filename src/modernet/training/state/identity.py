"""What makes two runs the same run."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def run_identity(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what decides the numbers of a run, from its record's settings: task, network, data, recipe, seed.

    Flat and JSON-able. Text for people (titles, sources, published figures) is left out, so that rewording it does not
    make another run.
    """
    recipe = {key: value for key, value in settings["recipe"].items() if key not in ("name", "source")}
    network = {
        key: list(value) if isinstance(value, tuple) else value for key, value in settings["model_fields"].items()
    }
    if settings["model_kind"] != "design":  # which is its fields
        network["model"] = settings["model"]
    names = {"image_size": "image_size", "fingerprint": "data_fingerprint"}
    data = {name: settings["data"][key] for key, name in names.items() if key in settings["data"]}
    start = {"weights": settings["weights"]["fingerprint"]} if "weights" in settings else {}
    task = settings.get("task", "classification")  # early records do not name theirs
    return {"task": task, **recipe, "seed": settings["seed"], **network, **data, **start}


def differences(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> list[str]:
    """List where one identity differs from another: `lr 0.006, not 0.1`."""
    keys = [*wanted, *(key for key in found if key not in wanted)]
    return [f"{key} {found.get(key)!r}, not {wanted.get(key)!r}" for key in keys if found.get(key) != wanted.get(key)]
