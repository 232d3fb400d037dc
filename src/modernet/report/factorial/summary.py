"""Records of a factorial study -> one summary a study: its networks, and the effects of its decisions."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modernet.errors import InputError
from modernet.records import Record
from modernet.report.factorial.effects import Effects, estimate_effects
from modernet.report.origin import devices
from modernet.report.statistics import spread

STUDY = "factorial"
_NEEDED = ("network", "networks", "decisions", "levels", "size", "data", "recipe")


@dataclass(frozen=True)
class FactorialNetwork:
    """One combination of decisions. Accuracies in per cent.

    Attributes:
        number: its place in the study, from 0.
        levels: +1 for each decision that is on, -1 for each that is off.
        params, macs: of the network; None where no run came far enough to count them.
        test_top1: of each finished run, in the order of the seeds.
        errors: why runs failed, one line each, of the seeds that have no finished run.
    """

    number: int
    levels: Mapping[str, int]
    params: int | None
    macs: int | None
    test_top1: tuple[float, ...]
    errors: tuple[str, ...]

    @property
    def mean(self) -> float | None:
        """Mean test top-1; None without a finished run."""
        return statistics.mean(self.test_top1) if self.test_top1 else None

    @property
    def std(self) -> float | None:
        """Standard deviation over seeds; None for fewer than two."""
        return spread(self.test_top1)


@dataclass(frozen=True)
class Factorial:
    """One study.

    Attributes:
        size: of the road that the decisions are of; `data` the name of the data set, `image_size` its pictures' side in
            pixels, `n_test` the pictures behind an accuracy.
        decisions: name of each decision -> its title for people.
        planned: how many networks the study has when it is complete.
        networks: those that have records, in order.
        effects: in percentage points of test top-1; None until every network has a finished run.
        devices: where its runs ran.
        records: every run behind it.
    """

    size: str
    data: str
    image_size: int | None
    n_test: int | None
    decisions: Mapping[str, str]
    planned: int
    networks: tuple[FactorialNetwork, ...]
    effects: Effects | None
    devices: tuple[str, ...]
    records: tuple[Record, ...] = field(repr=False)

    @property
    def seeds(self) -> tuple[int, ...]:
        """How many finished runs networks have: `(2,)`, or the fewest and the most where they differ."""
        counts = {len(network.test_top1) for network in self.networks}
        return tuple(sorted({min(counts), max(counts)}))

    @property
    def missing(self) -> int:
        """Networks without a finished run."""
        return self.planned - sum(bool(network.test_top1) for network in self.networks)


def belongs_to_a_factorial(record: Record) -> bool:
    """Whether a record is a training run of a factorial study."""
    return record.kind == "train" and record.settings.get("study") == STUDY


def summarise_factorials(records: Iterable[Record]) -> list[Factorial]:
    """One summary for each study; records of other studies are passed over.

    Runs belong together when they share size, decisions, data set and recipe. Where one seed of a network was run more
    than once, the latest finished run counts.

    Raises:
        InputError: a record of a study does not say which network it is of.
    """
    studies: dict[str, list[Record]] = {}
    for record in records:
        if belongs_to_a_factorial(record):
            studies.setdefault(_study_of(record), []).append(record)
    return [_summary(runs) for runs in studies.values()]


def _study_of(run: Record) -> str:
    for name in _NEEDED:
        if name not in run.settings:
            raise InputError(
                f"the record {run.name!r} of a factorial study has no setting {name!r}; run the study again to write "
                "it anew"
            )
    data = run.settings["data"]
    facts = [data.get(name) for name in ("name", "image_size", "n_train", "n_validation", "n_test")]
    stride = run.settings.get("model_fields", {}).get("stem_stride")
    shared = [run.settings[name] for name in ("size", "networks", "decisions", "recipe")]
    return json.dumps([*shared, facts, stride])


def _summary(runs: Sequence[Record]) -> Factorial:
    by_number: dict[int, list[Record]] = {}
    for run in sorted(runs, key=lambda run: (run.settings["network"], str(run.environment.get("created", "")))):
        by_number.setdefault(run.settings["network"], []).append(run)
    networks = tuple(_network(number, of_one) for number, of_one in by_number.items())
    first = runs[0].settings
    decisions: dict[str, str] = first["decisions"]
    effects = None
    if len(networks) == first["networks"] and all(network.test_top1 for network in networks):
        effects = estimate_effects(
            list(decisions),
            [[network.levels[name] for name in decisions] for network in networks],
            [network.test_top1 for network in networks],
        )
    return Factorial(
        size=first["size"],
        data=str(first["data"].get("name")),
        image_size=first["data"].get("image_size"),
        n_test=first["data"].get("n_test"),
        decisions=decisions,
        planned=first["networks"],
        networks=networks,
        effects=effects,
        devices=devices(runs),
        records=tuple(run for of_one in by_number.values() for run in of_one),
    )


def _network(number: int, runs: Sequence[Record]) -> FactorialNetwork:
    """Of one network's runs in the order of their dates, the last finished one of each seed."""
    finished: dict[Any, float] = {
        run.settings.get("seed"): run.metrics["test_top1"]
        for run in runs
        if run.error is None and "test_top1" in run.metrics
    }
    failed = {
        run.settings.get("seed"): run.error for run in runs if run.error and run.settings.get("seed") not in finished
    }
    settings = runs[-1].settings
    return FactorialNetwork(
        number=number,
        levels=settings["levels"],
        params=settings.get("params"),
        macs=settings.get("macs"),
        test_top1=tuple(finished[seed] for seed in sorted(finished, key=lambda seed: (str(type(seed)), seed))),
        errors=tuple(failed.values()),
    )
