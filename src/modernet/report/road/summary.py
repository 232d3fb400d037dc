"""Summarise the records of walks of the road: each step with its mean, spread and difference."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modernet.records import Metric, Record
from modernet.report.origin import devices
from modernet.report.road.place import RoadPlace, belongs_to_a_road
from modernet.statistics import Interval, std, welch_interval


@dataclass(frozen=True)
class RoadStep:
    """One step of the road over all its seeds. Scores are values of the road's metric.

    Attributes:
        row: its number in the road; alternatives of one decision share the number: `"8a"`, `"8b"`.
        step: its name in code; `title` for people; `change` is what it changed, in one sentence.
        side_step: tried, but the road continued from another step.
        params, macs: of the network; None if no run got as far as counting them.
        runs: the finished runs, one per seed, in the order of their seeds; `seeds` is their number.
        test_mean, test_std, validation_mean: scores over the finished runs; `test_std` has n − 1 in the denominator and
            is None for one seed.
        images_per_second: mean training speed of the finished runs.
        against: row of the adopted step that it is compared with; None for the first.
        delta: `test_mean` minus that of `against`; None if either has no finished run.
        interval: of `delta` over seeds, from `welch_interval`.
        published_top1: the paper's ImageNet-1K value; `published_delta` is its difference to that of `against`.
        errors: errors of failed runs, one line each, for seeds without a finished run.
    """

    row: str
    step: str
    title: str
    change: str
    side_step: bool
    params: int | None
    macs: int | None
    runs: tuple[Record, ...] = field(repr=False)
    seeds: int
    test_mean: float | None
    test_std: float | None
    validation_mean: float | None
    images_per_second: float | None
    against: str | None
    delta: float | None
    interval: Interval | None
    published_top1: float | None
    published_delta: float | None
    errors: list[str]

    @property
    def test_scores(self) -> tuple[float, ...]:
        """The test score of each finished run, in the order of the seeds."""
        return tuple(run.metrics[f"test_{run.primary.name}"] for run in self.runs)

    @property
    def excludes_zero(self) -> bool:
        """Whether there is an interval of `delta`, and zero is outside of it."""
        return self.interval is not None and self.interval.excludes(0)


@dataclass(frozen=True)
class Road:
    """One walk of the road.

    Attributes:
        size: which road: `"nano"`, `"tiny"`, `"base"`.
        data: name of the data set; `metric` is the primary metric on it.
        classes, image_size, n_train, n_validation, n_test: number of classes, pixels, images in each split; None if the
            records do not say.
        stem_stride: total stride of every stem, if another road of the same size and data set has another one; else
            None.
        devices: see `origin.devices`.
        published_of: the networks behind the paper's values; None without such values.
        steps: in the order of the road.
        records: all runs in the order of the steps, including failed and repeated ones.
    """

    size: str
    data: str
    metric: Metric
    classes: int | None
    image_size: int | None
    n_train: int | None
    n_validation: int | None
    n_test: int | None
    stem_stride: int | None
    devices: tuple[str, ...]
    published_of: str | None
    steps: tuple[RoadStep, ...]
    records: tuple[Record, ...] = field(repr=False)

    @property
    def digits(self) -> int:
        """Decimals of its scores."""
        return self.metric.digits_for(self.n_test)

    @property
    def adopted(self) -> tuple[RoadStep, ...]:
        """The steps that the road continued from: all but the side steps."""
        return tuple(step for step in self.steps if not step.side_step)


def summarise_road(records: Iterable[Record]) -> list[Road]:
    """Return a summary for each road that was walked; records of other studies are ignored.

    Runs belong to one road if they share size, data set (name, image size, images in each split), stem stride, primary
    metric and recipe. The first step has ResNet's classic recipe; its runs join the road that shares the rest and whose
    recipe has the most values in common with theirs. If one seed of a step was run more than once, the latest finished
    run counts.

    Raises:
        InputError: a record of a road does not say which step it is.
    """
    runs = [_Run(record, RoadPlace.from_record(record)) for record in records if belongs_to_a_road(record)]
    walks = _walks(runs)
    strides: dict[tuple[str, str], set[int | None]] = {}
    for walk in walks:
        strides.setdefault(_size_and_data(walk[0]), set()).add(_stem_stride(walk[0]))
    return [_summary(walk, name_stride=len(strides[_size_and_data(walk[0])]) > 1) for walk in walks]


@dataclass(frozen=True)
class _Run:
    record: Record
    place: RoadPlace

    @property
    def data(self) -> Mapping[str, Any]:
        data: Mapping[str, Any] = self.record.settings["data"]
        return data

    @property
    def recipe(self) -> Mapping[str, Any]:
        recipe: Mapping[str, Any] = self.record.settings.get("recipe", {})
        return recipe


def _walks(runs: Sequence[_Run]) -> list[list[_Run]]:
    """Group runs by road, in order of appearance."""
    walks: dict[str, list[_Run]] = {}
    for run in runs:
        if run.place.order != 0:
            walks.setdefault(json.dumps([_shared(run), run.recipe], sort_keys=True), []).append(run)
    for run in runs:
        if run.place.order != 0:
            continue
        neighbours = [walk for walk in walks.values() if _shared(walk[-1]) == _shared(run)]
        if not neighbours:
            walks[json.dumps(_shared(run))] = [run]
            continue
        closeness = [_values_in_common(run, walk[-1]) for walk in neighbours]
        for walk, close in zip(neighbours, closeness, strict=True):
            if close == max(closeness):
                walk.insert(0, run)
    return list(walks.values())


def _shared(run: _Run) -> list[Any]:
    """What all runs of a road share, except the recipe."""
    return [
        run.place.size,
        _stem_stride(run),
        *(run.data.get(name) for name in ("name", "image_size", "n_train", "n_validation", "n_test")),
        run.record.primary.name,
    ]


def _size_and_data(run: _Run) -> tuple[str, str]:
    return run.place.size, str(run.data.get("name"))


def _stem_stride(run: _Run) -> int | None:
    stride: int | None = run.record.settings.get("model_fields", {}).get("stem_stride")
    return stride


def _values_in_common(run: _Run, other: _Run) -> int:
    """Count the settings of a run's recipe that another run's recipe has with the same value."""
    return sum(name in other.recipe and other.recipe[name] == value for name, value in run.recipe.items())


def _summary(runs: Sequence[_Run], *, name_stride: bool) -> Road:
    by_row: dict[str, list[_Run]] = {}
    runs = sorted(runs, key=lambda run: (run.place.order, run.place.row))
    for run in runs:
        by_row.setdefault(run.place.row, []).append(run)
    steps: list[RoadStep] = []
    for runs_of_step in by_row.values():
        steps.append(_step(runs_of_step[-1].place, [run.record for run in runs_of_step], steps))
    first, records = runs[0], tuple(run.record for run in runs)
    return Road(
        size=first.place.size,
        data=str(first.data.get("name")),
        metric=first.record.primary,
        classes=first.data.get("classes"),
        image_size=first.data.get("image_size"),
        n_train=first.data.get("n_train"),
        n_validation=first.data.get("n_validation"),
        n_test=first.data.get("n_test"),
        stem_stride=_stem_stride(first) if name_stride else None,
        devices=devices(records),
        published_of=first.place.published_of,
        steps=tuple(steps),
        records=records,
    )


def _step(place: RoadPlace, runs: Sequence[Record], earlier: Sequence[RoadStep]) -> RoadStep:
    before = _compared_with(place.row, earlier)
    by_seed: dict[Any, Record] = {}
    for run in sorted(runs, key=lambda run: str(run.environment.get("created", ""))):
        if run.error is None and run.score("test") is not None:
            by_seed[run.settings.get("seed")] = run
    finished = tuple(by_seed[seed] for seed in sorted(by_seed, key=lambda seed: (str(type(seed)), seed)))
    failed = {
        run.settings.get("seed"): run.error for run in runs if run.settings.get("seed") not in by_seed and run.error
    }

    metric = runs[-1].primary.name
    scores = [run.metrics[f"test_{metric}"] for run in finished]
    mean = _mean(finished, f"test_{metric}")
    delta = interval = published_delta = None
    if before is not None:
        if mean is not None and before.test_mean is not None:
            delta = mean - before.test_mean
        interval = welch_interval(scores, before.test_scores)
        if place.published_top1 is not None and before.published_top1 is not None:
            published_delta = place.published_top1 - before.published_top1
    return RoadStep(
        row=place.row,
        step=place.step,
        title=place.title,
        change=place.change,
        side_step=place.side_step,
        params=_counted(runs, "params"),
        macs=_counted(runs, "macs"),
        runs=finished,
        seeds=len(finished),
        test_mean=mean,
        test_std=std(scores),
        validation_mean=_mean(finished, f"validation_{metric}"),
        images_per_second=_mean(finished, "train_images_per_second"),
        against=None if before is None else before.row,
        delta=delta,
        interval=interval,
        published_top1=place.published_top1,
        published_delta=published_delta,
        errors=list(failed.values()),
    )


def _compared_with(row: str, earlier: Sequence[RoadStep]) -> RoadStep | None:
    """Return the last adopted step of an earlier decision: 8a to 8d are alternatives, all compared with step 7."""
    for step in reversed(earlier):
        if not step.side_step and _decision(step.row) != _decision(row):
            return step
    return None


def _decision(row: str) -> str:
    return row.rstrip("abcdefghijklmnopqrstuvwxyz")


def _mean(runs: Sequence[Record], metric: str) -> float | None:
    values = [run.metrics[metric] for run in runs if metric in run.metrics]
    return statistics.mean(values) if values else None


def _counted(runs: Sequence[Record], name: str) -> int | None:
    return next((run.settings[name] for run in runs if run.settings.get(name) is not None), None)
