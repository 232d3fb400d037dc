"""The settings of a run's record: all that decides its numbers, for any kind of data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from modernet.recipes import Recipe, leaves
from modernet.weights import NetworkSpec, StartingWeights


def run_settings(
    spec: NetworkSpec,
    data: Mapping[str, Any],
    recipe: Recipe,
    seed: int,
    *,
    start: StartingWeights | None = None,
    classifier_kept: bool = False,
    study: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the settings of a run, but for the cost of its network.

    Two runs with equal settings give equal results on one device.

    Args:
        data: the summary of the data set, with its `fingerprint`.
        start: the weights that it starts from.
        classifier_kept: whether it starts with the classifier of the run that `start` is of.
        study: the place of the run in its study, as the study writes it.
    """
    settings = {
        **(study or {}),
        "model": spec.name,
        "model_kind": spec.kind,
        "model_fields": dict(spec.fields),
        "data": dict(data),
        "recipe": leaves(recipe),
        "seed": seed,
    }
    if start is not None:
        settings["weights"] = {
            "file": start.path.name,
            "fingerprint": start.fingerprint(),
            "classifier": "kept" if classifier_kept else "new",
            **({} if start.published is None else {"name": start.published}),
        }
    return settings
