"""A candidate of a comparison, with everything that was measured of it, as its record stores it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from modernet.records import Metric, Record, environment

KIND = "compared"
MEASURING = "measuring"
"""What failed begins with it, if it was a measurement and not a training."""
Budget = Literal["equal-epochs", "equal-seconds", "equal-macs"]


@dataclass(frozen=True)
class Measurement:
    """One quantity of a candidate, measured once or for each seed.

    Attributes:
        metric: what it is; `metric.name` is unique within a candidate.
        values: one for each seed in the order of `Compared.seeds`, or a single one of the network.
        low, high: the ends of the 95 % interval of a single one, where it has one.
    """

    metric: Metric
    values: tuple[float, ...]
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Compared:
    """One candidate of a comparison. A comparison is all candidates with the same `comparison`.

    Attributes:
        comparison: digest of what all candidates have in common: data, task, recipe, budget, tuning.
        order: place of the candidate in the command, from 0.
        candidate: label: the name that the user gave.
        model: name of the network.
        task: `"classification"`, ...
        data: the record's summary of the images, `name`, `n_train`, `n_test`, `image_size` and `fingerprint` among it.
        recipe: name of the recipe.
        budget: what all candidates have the same of.
        epochs: of a final training.
        seconds: planned time of a final training by the speeds that were measured before; None if these were not.
        tuned: what tuning chose, as recipe field -> value; empty without tuning.
        trials: validation score of each setting that was tried, in the order of `tuning` below; empty without tuning.
        weights: name of the weights that training starts from; None for random ones.
        licence: of those weights as stated by their publisher; "" if not stated, None for random ones.
        seeds: of the finished final trainings.
        score: the task's primary metric on the test split, for each seed.
        validation: the same on the validation split; empty if it has none, as where there is nothing to detect.
        n_test: test examples behind a score.
        right: for each seed one character for each test example, in the order of the split: 1 if the answer is right,
            else 0. Empty for tasks without answers that are right or wrong.
        measured: everything else: cost (`params`, `macs`), speed here (`images_per_second`, `latency_ms`,
            `peak_memory_mb`, `train_images_per_second`, and `best_images_per_second` in the best allowed precision),
            calibration (`ece`), robustness (`corrupted`: the primary metric on corrupted test images).
        failed: why runs failed, by what failed. They are not in `seeds`, unless only their measurement failed.
    """

    comparison: str
    order: int
    candidate: str
    model: str
    task: str
    data: Mapping[str, Any]
    recipe: str
    budget: Budget
    epochs: int
    seconds: float | None
    tuned: Mapping[str, Any]
    trials: tuple[Mapping[str, Any], ...]
    weights: str | None
    licence: str | None
    seeds: tuple[int, ...]
    score: tuple[float, ...]
    validation: tuple[float, ...]
    n_test: int
    right: tuple[str, ...] = field(repr=False)
    measured: tuple[Measurement, ...]
    failed: Mapping[str, str]

    @property
    def lost(self) -> bool:
        """Whether a training failed."""
        return any(not what.startswith(MEASURING) for what in self.failed)

    @property
    def unmeasured(self) -> bool:
        """Whether a measurement of a finished training failed."""
        return any(what.startswith(MEASURING) for what in self.failed)

    def measurement(self, name: str) -> Measurement | None:
        """Return a quantity by the name of its metric; None if it was not measured."""
        return next((each for each in self.measured if each.metric.name == name), None)

    def to_record(self, primary: Metric, device: str) -> Record:
        """Return its record.

        Args:
            primary: the task's primary metric, which `score` has.
            device: where speeds were measured, for the environment.
        """
        stored = asdict(self)
        details = {name: stored.pop(name) for name in ("right", "measured", "trials", "failed")}
        single = {each.metric.name: each.values[0] for each in self.measured if len(each.values) == 1}
        mean = {} if not self.score else {f"test_{primary.name}": sum(self.score) / len(self.score)}
        return Record(
            KIND,
            self.candidate,
            stored,
            {**mean, **single, "test_n": self.n_test},
            environment=environment(device),
            error=None if self.seeds else "; ".join(f"{what}: {why}" for what, why in self.failed.items()) or "no runs",
            task_metrics=(primary,),
            details=details,
        )

    @classmethod
    def from_record(cls, record: Record) -> Compared:
        """Read a candidate from its record.

        Raises:
            InputError: the record lacks a field.
        """
        names = [each.name for each in fields(cls)]
        values = record.stored(names, "a comparison", "run modernet compare again")
        for name in ("seeds", "score", "validation", "right", "trials"):
            values[name] = tuple(values[name])
        values["measured"] = tuple(
            Measurement(_metric(each["metric"]), tuple(each["values"]), each["low"], each["high"])
            for each in values["measured"]
        )
        return cls(**values)


def _metric(stored: Mapping[str, Any]) -> Metric:
    low, high = stored["limits"]  # a list in JSON
    return Metric(**{**stored, "limits": (low, high)})
