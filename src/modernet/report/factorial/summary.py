"""Summarise the records of factorial studies: their networks, and the effects of their decisions."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modernet.records import Metric, Record
from modernet.report.factorial.effects import Effects, estimate_effects
from modernet.report.factorial.place import FactorialPlace, belongs_to_a_factorial
from modernet.report.origin import devices
from modernet.statistics import std


@dataclass(frozen=True)
class FactorialNetwork:
    """One combination of decisions. Scores are values of the study's metric.

    Attributes:
        number: its index in the study.
        levels: +1 for each decision that is on, -1 for each that is off.
        params, macs: of the network; None if no run got as far as counting them.
        scores: the test score of each finished run, in the order of the seeds.
        errors: errors of failed runs, one line each, for seeds without a finished run.
    """

    number: int
    levels: Mapping[str, int]
    params: int | None
    macs: int | None
    scores: tuple[float, ...]
    errors: tuple[str, ...]

    @property
    def mean(self) -> float | None:
        """The mean score; None without a finished run."""
        return statistics.mean(self.scores) if self.scores else None

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds; None for fewer than two."""
        return std(self.scores)


@dataclass(frozen=True)
class Factorial:
    """One study.

    Attributes:
        size: of the road that the decisions are from.
        data: name of the data set; `image_size` in pixels, `n_test` test images, None if the records do not say.
        metric: the primary metric of its runs.
        decisions: name -> title for people.
        planned: number of networks of the complete study.
        networks: those that have records, in order.
        effects: in units of the metric, percentage points for a percentage; None until all networks have a finished
            run.
        devices: see `origin.devices`.
        records: all runs.
    """

    size: str
    data: str
    image_size: int | None
    n_test: int | None
    metric: Metric
    decisions: Mapping[str, str]
    planned: int
    networks: tuple[FactorialNetwork, ...]
    effects: Effects | None
    devices: tuple[str, ...]
    records: tuple[Record, ...] = field(repr=False)

    @property
    def digits(self) -> int:
        """Decimals of its scores."""
        return self.metric.digits_for(self.n_test)

    @property
    def seeds(self) -> tuple[int, ...]:
        """Finished runs per network: `(2,)`, or the smallest and the largest number if they differ."""
        counts = {len(network.scores) for network in self.networks}
        return tuple(sorted({min(counts), max(counts)}))

    @property
    def missing(self) -> int:
        """Number of networks without a finished run."""
        return self.planned - sum(bool(network.scores) for network in self.networks)


def summarise_factorials(records: Iterable[Record]) -> list[Factorial]:
    """Return a summary for each study; records of other studies are ignored.

    Runs belong together if they share size, decisions, data set, primary metric and recipe. If one seed of a network
    was run more than once, the latest finished run counts.

    Raises:
        InputError: a record of a study does not say which network it is of.
    """
    studies: dict[str, list[_Run]] = {}
    for record in records:
        if belongs_to_a_factorial(record):
            run = _Run(record, FactorialPlace.from_record(record))
            studies.setdefault(_study_of(run), []).append(run)
    return [_summary(runs) for runs in studies.values()]


@dataclass(frozen=True)
class _Run:
    record: Record
    place: FactorialPlace


def _study_of(run: _Run) -> str:
    """Return a key that the runs of one study share."""
    place, settings = run.place, run.record.settings
    facts = [settings["data"].get(name) for name in ("name", "image_size", "n_train", "n_validation", "n_test")]
    stride = settings.get("model_fields", {}).get("stem_stride")
    shared = [place.size, place.networks, dict(place.decisions), settings["recipe"]]
    return json.dumps([*shared, facts, stride, run.record.primary.name])


def _summary(runs: Sequence[_Run]) -> Factorial:
    by_number: dict[int, list[_Run]] = {}
    for run in sorted(runs, key=lambda run: (run.place.network, str(run.record.environment.get("created", "")))):
        by_number.setdefault(run.place.network, []).append(run)
    networks = tuple(map(_network, by_number.values()))
    first, data = runs[0].place, runs[0].record.settings["data"]
    decisions = first.decisions
    effects = None
    if len(networks) == first.networks and all(network.scores for network in networks):
        effects = estimate_effects(
            list(decisions),
            [[network.levels[name] for name in decisions] for network in networks],
            [network.scores for network in networks],
        )
    return Factorial(
        size=first.size,
        data=str(data.get("name")),
        image_size=data.get("image_size"),
        n_test=data.get("n_test"),
        metric=runs[0].record.primary,
        decisions=decisions,
        planned=first.networks,
        networks=networks,
        effects=effects,
        devices=devices(run.record for run in runs),
        records=tuple(run.record for runs_of_network in by_number.values() for run in runs_of_network),
    )


def _network(runs: Sequence[_Run]) -> FactorialNetwork:
    """Summarise one network from its runs in the order of their dates; the last finished run of each seed counts."""
    records, place = [run.record for run in runs], runs[-1].place
    scores = {run.settings.get("seed"): run.score("test") for run in records if run.error is None}
    finished = {seed: score for seed, score in scores.items() if score is not None}
    failed = {
        run.settings.get("seed"): run.error for run in records if run.error and run.settings.get("seed") not in finished
    }
    return FactorialNetwork(
        number=place.network,
        levels=place.levels,
        params=records[-1].settings.get("params"),
        macs=records[-1].settings.get("macs"),
        scores=tuple(finished[seed] for seed in sorted(finished, key=lambda seed: (str(type(seed)), seed))),
        errors=tuple(failed.values()),
    )
