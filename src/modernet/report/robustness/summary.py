"""What the records of `modernet robustness` say: networks that were tested on the same images, and their errors."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from modernet.records import Metric, Record
from modernet.report.labels import labels

KIND = "robustness"
SUITES = {"c": "C", "extra": "C, others", "cbar": "C-bar"}
"""Suite of corruptions -> its title in the heading of a column."""
_PUBLISHED = "published_"


@dataclass(frozen=True)
class Reading:
    """A number with the ends of its interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None

    @staticmethod
    def of(values: Mapping[str, Any], name: str) -> Reading | None:
        """Read `name`, `name_low` and `name_high`; None if there is no such number."""
        value = values.get(name)
        return None if value is None else Reading(value, values.get(f"{name}_low"), values.get(f"{name}_high"))


@dataclass(frozen=True)
class Corrupted:
    """A network under one corruption, in per cent.

    Attributes:
        name: of the corruption, for people.
        errors: top-1 error by severity.
        mean: over severities.
        ce: relative to the baseline.
    """

    name: str
    errors: Mapping[int, float]
    mean: Reading
    ce: Reading | None


@dataclass(frozen=True)
class Network:
    """A network in a comparison.

    Attributes:
        label: tells it from the others.
        record: of its test.
    """

    label: str
    record: Record = field(repr=False)

    @property
    def digits(self) -> int:
        """Decimals of a percentage of its images."""
        return Metric("top1", "top-1").digits_for(self.record.metrics.get("n"))

    def reading(self, name: str) -> Reading | None:
        """Return a metric with its interval; None if it was not measured."""
        return Reading.of(self.record.metrics, name)

    def corrupted(self, suite: str) -> list[Corrupted]:
        """Return what it does under each corruption of a suite, in the order of the record."""
        cells: dict[str, dict[int, float]] = {}
        for row in self.record.details.get("corruptions", []):
            if row["suite"] == suite and "error" in row:
                cells.setdefault(row["corruption"], {})[row["severity"]] = row["error"]
        means = {
            row["corruption"]: row for row in self.record.details.get("corruption_means", []) if row["suite"] == suite
        }
        return [
            Corrupted(
                name.replace("_", " "),
                errors,
                Reading.of(means.get(name, {}), "error") or Reading(statistics.mean(errors.values())),
                Reading.of(means.get(name, {}), "ce"),
            )
            for name, errors in cells.items()
        ]


@dataclass(frozen=True)
class Comparison:
    """Networks that were tested on the same images.

    Attributes:
        data: name of the images.
        networks: in the order of their records.
    """

    data: str
    networks: Sequence[Network]

    @property
    def suites(self) -> list[str]:
        """The suites of corruptions that a network was tested on."""
        rows = (row for network in self.networks for row in network.record.details.get("corruptions", []))
        return list(dict.fromkeys(row["suite"] for row in rows if "error" in row))

    @property
    def shifted(self) -> dict[str, str]:
        """The other sets of images of the same classes: name -> title."""
        titles = {
            row["name"]: row.get("title", row["name"])
            for network in self.networks
            for row in network.record.details.get("shifted", [])
        }
        names = (
            name.removesuffix("_clean_top1")
            for network in self.networks
            for name in network.record.metrics
            if name.endswith("_clean_top1")
        )
        return titles | {name: titles.get(name, name) for name in names}


def comparisons(records: Sequence[Record]) -> list[Comparison]:
    """Return the tests of robustness by the images that they were on; records of other kinds are ignored."""
    groups: dict[tuple[str, Any], list[Record]] = {}
    for record in records:
        if record.kind == KIND:
            data = record.settings.get("data", {})
            groups.setdefault((str(data.get("name", "unnamed data")), data.get("fingerprint")), []).append(record)
    return [
        Comparison(name, [Network(*pair) for pair in zip(labels(group), group, strict=True)])
        for (name, _), group in groups.items()
    ]


def suite_title(suite: str) -> str:
    """Return the title of a suite of corruptions, in the heading of a column."""
    own = suite.removeprefix(_PUBLISHED)
    return SUITES.get(own, own) + (", published" if suite != own else "")


def suite_words(suite: str) -> str:
    """Return what a suite of corruptions is, in a heading."""
    own = suite.removeprefix(_PUBLISHED)
    words = {
        "c": "corruptions of ImageNet-C",
        "extra": "other corruptions of ImageNet-C",
        "cbar": "corruptions of ImageNet-C-bar",
    }.get(own, f"corruptions of {own}")
    return words if suite == own else f"published images, {words}"


def bins_of(network: Network) -> list[Mapping[str, Any]]:
    """Return the bins of a network's confidence that have images; none if it was not measured."""
    bins: list[Mapping[str, Any]] = network.record.details.get("calibration", {}).get("bins", [])
    return [each for each in bins if each["n"]]


def sizes_of(network: Network) -> list[Mapping[str, Any]]:
    """Return a network's accuracy by image size."""
    return list(network.record.details.get("resolution", []))


def shifts_of(network: Network) -> dict[int, Reading]:
    """Return a network's consistency for each shift, the mean over directions."""
    shifts = {row["shift"] for row in network.record.details.get("translation", [])}
    found = {shift: network.reading(f"translation_{shift}_consistency") for shift in sorted(shifts)}
    return {shift: reading for shift, reading in found.items() if reading is not None}


def worst_and_best(network: Network, suite: str) -> tuple[list[Corrupted], Corrupted]:
    """Return the three corruptions with the largest mean errors, the worst first, and that with the smallest."""
    ordered = sorted(network.corrupted(suite), key=lambda each: -each.mean.value)
    return ordered[:3], ordered[-1]


def clean_error(network: Network) -> float:
    """Return the error without corruption in per cent; NaN if it was not measured."""
    clean = network.reading("clean_top1")
    return math.nan if clean is None else 100 - clean.value
