"""Tune each candidate of a comparison: the same number of short trainings, chosen by validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from modernet.records import RECORD_NAME, read_record
from modernet.studies.compare.runs import TrainingRun

TUNING_SEED = 1000
"""Of all trainings to tune; final ones have 0, 1, ..."""


@dataclass(frozen=True)
class Tuned:
    """What tuning chose for a candidate.

    Attributes:
        setting: recipe field -> value; empty if nothing was tried, or everything failed.
        trials: each setting that was tried, with its `validation` score or its `error`.
    """

    setting: Mapping[str, float]
    trials: tuple[Mapping[str, Any], ...]


NOT_TUNED = Tuned({}, ())


def choose(settings: Sequence[Mapping[str, float]], runs: Sequence[TrainingRun]) -> Tuned:
    """Choose the setting with the best validation score of its run; the earlier one where equal.

    Args:
        runs: of the settings, finished or failed.
    """
    trials: list[dict[str, Any]] = []
    best: tuple[float, Mapping[str, float]] | None = None
    for setting, run in zip(settings, runs, strict=True):
        record = read_record(run.folder / RECORD_NAME)
        score = None if record.error is not None else record.score("validation")
        trials.append({**setting, "epochs": run.recipe.schedule.epochs, "validation": score, "error": record.error})
        if score is None:
            continue
        value = score if record.primary.higher_is_better else -score
        if best is None or value > best[0]:
            best = value, setting
    return Tuned({} if best is None else best[1], tuple(trials))
