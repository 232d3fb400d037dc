"""Short labels that distinguish runs of the same name, and the word for what they were shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from modernet.records import Record
from modernet.report.origin import setting_value

_Choices = dict[tuple[str, str], Any]  # (one of `_PARTS`, leaf) -> value
_PARTS = ("of recipes", "recipe", "model_fields", "weights", "data", "run", "test")  # in the order of a label
_EXAMPLES = {
    "sequences": "sequences",
    "sequence_pretraining": "sequences",
    "points": "clouds",
    "point_segmentation": "clouds",
}
"""Task -> what its examples are, where they are not images."""


def examples_of(run: Record) -> str:
    """Return what the examples of a run's task are: `"images"`, `"sequences"` or `"clouds"`."""
    return _EXAMPLES.get(run.settings.get("task", ""), "images")


def labels(runs: Sequence[Record]) -> list[str]:
    """Return a label for each run, in order: its name and, if runs share it, the settings in which they differ.

    These are settings of the recipe, fields of the model, the run or the file of its weights, facts of the data, the
    seed, or how it was evaluated: `resnet18 (lr 0.002, seed 1)`. Recipes with different names are distinguished by
    their names; the settings of recipes are compared only between recipes of the same name, and fingerprints of weights
    only between files of the same name. Runs with equal settings are numbered: `resnet18, run 2`.
    """
    result = [run.name for run in runs]
    for name in dict.fromkeys(result):
        indices = [index for index, run in enumerate(runs) if run.name == name]
        differences = _differences([runs[index].settings for index in indices])
        for index, settings in zip(indices, differences, strict=True):
            if settings:
                result[index] = f"{name} ({', '.join(settings)})"
    return _numbered(result)


def _differences(settings: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    choices = [_choices(run) for run in settings]
    leaves = sorted(dict.fromkeys(leaf for run in choices for leaf in run), key=lambda leaf: _PARTS.index(leaf[0]))
    differing = [leaf for leaf in leaves if _differs(leaf, choices)]
    return [[f"{leaf[1]} {setting_value(run[leaf])}" for leaf in differing if leaf in run] for run in choices]


def _choices(settings: Mapping[str, Any]) -> _Choices:
    recipe = dict(settings.get("recipe", {}))
    data = {name: fact for name, fact in settings.get("data", {}).items() if name not in ("name", "unreadable")}
    parts: tuple[Mapping[str, Any], ...] = (
        {"recipe": recipe.pop("name", None)},
        {name: value for name, value in recipe.items() if name != "source"},
        settings.get("model_fields", {}),
        _weights(settings),
        data,
        {"seed": settings.get("seed")},
        _test(settings),
    )
    return {(part, name): value for part, leaves in zip(_PARTS, parts, strict=True) for name, value in leaves.items()}


def _weights(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run or the file of the weights, and their fingerprint."""
    weights = settings.get("weights") or {}
    place = {"run" if settings.get("run") else "weights": weights["file"]} if weights else {}
    return place | {name: value for name, value in weights.items() if name == "fingerprint"}


def _test(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a network was evaluated, or which of its features."""
    test = dict(settings.get("inference", {}))
    if "scales" in test:
        test["scales"] = " ".join(f"{scale:g}" for scale in test["scales"])
    test |= {"class_map": settings.get("class_map", {}).get("file"), "real": settings.get("real")}
    return test | {"features": settings.get("features")}


def _differs(leaf: tuple[str, str], choices: Sequence[_Choices]) -> bool:
    """Return whether runs differ in a setting; settings of recipes are compared only within recipes of one name."""
    found: dict[object, set[str]] = {}
    for run in choices:
        among = run["of recipes", "recipe"] if leaf[0] == "recipe" else None
        if leaf == ("weights", "fingerprint"):
            among = run.get(("weights", "weights"), run.get(("weights", "run")))
        found.setdefault(among, set()).add(setting_value(run[leaf]) if leaf in run else "")
    return any(len(values) > 1 for values in found.values())


def _numbered(names: Sequence[str]) -> list[str]:
    counts, seen = Counter(names), Counter[str]()
    numbered = []
    for name in names:
        seen[name] += 1
        numbered.append(f"{name}, run {seen[name]}" if counts[name] > 1 else name)
    return numbered
