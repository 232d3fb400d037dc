"""What `modernet advise` found, as its record stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from modernet.records import Metric, Record, environment

KIND = "advice"


@dataclass(frozen=True)
class Trial:
    """One training of a candidate in one round.

    Attributes:
        round: from 0; a later one is longer.
        seed: of the training.
        epochs: its length.
        score: the primary metric on the validation split; None if it failed.
        n: validation examples behind it.
        seconds: how long it took.
        right: one character for each validation example, 1 if right, else 0; empty where answers are neither.
        error: why it failed.
    """

    round: int
    seed: int
    epochs: int
    score: float | None
    n: int
    seconds: float
    right: str = ""
    error: str | None = None


@dataclass(frozen=True)
class Considered:
    """One candidate, and how far it came.

    Attributes:
        name: as `modernet train --model` takes it.
        weights, licence: those that training starts from, as in `Compared`.
        params, macs: cost on paper; None if it could not be built.
        latency_ms, memory_mb, images_per_second: measured here; None if it was not tried.
        probes: accuracies on the validation split of simple classifiers on frozen features, `linear` and `knn`; empty
            without weights.
        trials: its trainings.
        left_at: round before which it was given up; None for a finalist.
        why: why it was given up, or not tried at all, in words; empty for a finalist.
        test: the primary metric on the test split of its last training; None unless it is a finalist.
        chance: estimated probability that no other is better in the long run, in [0, 1]; None if it was not trained.
    """

    name: str
    weights: str | None
    licence: str | None
    params: int | None
    macs: int | None
    latency_ms: float | None
    memory_mb: float | None
    images_per_second: float | None
    probes: Mapping[str, float]
    trials: tuple[Trial, ...]
    left_at: int | None
    why: str
    test: float | None
    chance: float | None = None


@dataclass(frozen=True)
class Advice:
    """What to use, how sure that is, and what led to it.

    Attributes:
        pick: name of the candidate; None if none is left.
        sure: the chance of the pick.
        level: names of candidates that cannot be told apart from the pick, best first, without it.
        task, data, recipe, seed: as of a run.
        limits: what was asked for, such as `max_latency_ms`; without those that were not.
        budget_seconds: the time that was allowed.
        spent_seconds: the time that was used, over all calls.
        considered: the candidates, the pick first, then in the order in which they were given up, the last first.
        not_tried: what was left out before, and why, such as networks without weights at hand.
        epochs: of the recipe; trainings have fewer where there is no time. None in earlier records.
    """

    pick: str | None
    sure: float
    level: tuple[str, ...]
    task: str
    data: Mapping[str, Any]
    recipe: str
    seed: int
    limits: Mapping[str, Any]
    budget_seconds: float
    spent_seconds: float
    considered: tuple[Considered, ...]
    not_tried: Mapping[str, str]
    epochs: int | None = None

    def to_record(self, primary: Metric, device: str) -> Record:
        """Return its record; `primary` is the task's primary metric."""
        stored = asdict(self)
        details = {name: stored.pop(name) for name in ("considered", "not_tried")}
        picked = next((each for each in self.considered if each.name == self.pick), None)
        metrics = {"sure": self.sure, "spent_seconds": self.spent_seconds}
        if picked is not None and picked.test is not None:
            metrics[f"test_{primary.name}"] = picked.test
        return Record(
            KIND,
            self.pick or "no network",
            stored,
            metrics,
            environment=environment(device),
            task_metrics=(primary,),
            details=details,
        )

    @classmethod
    def from_record(cls, record: Record) -> Advice:
        """Read advice from its record.

        Raises:
            InputError: the record lacks a field.
        """
        required = [each.name for each in fields(cls) if each.name != "epochs"]
        values = record.stored(required, "advice", "run modernet advise again")
        values["epochs"] = record.settings.get("epochs")
        values["level"] = tuple(values["level"])
        values["considered"] = tuple(
            Considered(**{**each, "trials": tuple(Trial(**trial) for trial in each["trials"])})
            for each in values["considered"]
        )
        return cls(**values)
