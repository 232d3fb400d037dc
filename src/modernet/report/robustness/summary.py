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
CELLS = {"c": 75, "extra": 20, "cbar": 50}
"""Suite of corruptions -> how many corruptions and severities it has."""
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
class Measure:
    """What is measured of corrupted images, in per cent.

    Attributes:
        key: in the rows of details.
        title: for people, such as `"box AP"`.
        higher_is_better: not of an error.
    """

    key: str
    title: str
    higher_is_better: bool = True

    @property
    def short(self) -> str:
        """The title, in headings."""
        return self.title if self.higher_is_better else "error"

    def words(self, value: str) -> str:
        """Return a value, which has its unit, in a sentence: `16.0 % wrong`, `box AP 41.2 %`."""
        return f"{self.title} {value}" if self.higher_is_better else f"{value} wrong"

    def clean(self, network: Network) -> float:
        """Return what it is without corruption; NaN if it was not measured."""
        found = network.reading(f"clean_{self.key}" if self.higher_is_better else "clean_top1")
        if found is None:
            return math.nan
        return found.value if self.higher_is_better else 100 - found.value


_ERROR = Measure("error", "top-1 error", higher_is_better=False)
"""Of classifiers."""


@dataclass(frozen=True)
class Corrupted:
    """A network under one corruption, in per cent.

    Attributes:
        name: of the corruption, for people.
        values: what is measured, by severity.
        mean: over severities.
        ce: relative to the baseline.
    """

    name: str
    values: Mapping[int, float]
    mean: Reading
    ce: Reading | None


@dataclass(frozen=True)
class Network:
    """A network in a comparison.

    Attributes:
        label: distinguishes it.
        record: of its test.
    """

    label: str
    record: Record = field(repr=False)

    @property
    def digits(self) -> int:
        """Decimals of a percentage of its images."""
        return digits_of(self.record.metrics.get("n"))

    @property
    def measure(self) -> Measure:
        """What is measured of it under corruption."""
        own = self.record.details.get("measure")
        return _ERROR if own is None else Measure(own["name"], own["title"])

    def reading(self, name: str) -> Reading | None:
        """Return a metric with its interval; None if it was not measured."""
        return Reading.of(self.record.metrics, name)

    def part_of(self, suite: str) -> str:
        """Return how many corruptions and severities of a suite it was tested on: `10 of 75`; empty if on all."""
        tested, whole = sum(len(each.values) for each in self.corrupted(suite)), CELLS.get(_own(suite), 0)
        return f"{tested} of {whole}" if 0 < tested < whole else ""

    def corrupted(self, suite: str) -> list[Corrupted]:
        """Return what it does under each corruption of a suite, in the order of the record."""
        cells: dict[str, dict[int, float]] = {}
        key = self.measure.key
        for row in self.record.details.get("corruptions", []):
            if row["suite"] == suite and key in row:
                cells.setdefault(row["corruption"], {})[row["severity"]] = row[key]
        means = {
            row["corruption"]: row for row in self.record.details.get("corruption_means", []) if row["suite"] == suite
        }
        return [
            Corrupted(
                name.replace("_", " "),
                values,
                Reading.of(means.get(name, {}), key) or Reading(statistics.mean(values.values())),
                Reading.of(means.get(name, {}), "ce"),
            )
            for name, values in cells.items()
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
    def measure(self) -> Measure:
        """What is measured of all of them under corruption."""
        return next((network.measure for network in self.networks if network.record.details), _ERROR)

    @property
    def suites(self) -> list[str]:
        """The suites of corruptions that a network was tested on."""
        key = self.measure.key
        rows = (row for network in self.networks for row in network.record.details.get("corruptions", []))
        return list(dict.fromkeys(row["suite"] for row in rows if key in row))

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
    """Return the tests of robustness by their images and task; records of other kinds are ignored."""
    groups: dict[tuple[str, Any, Any], list[Record]] = {}
    for record in records:
        if record.kind == KIND:
            data = record.settings.get("data", {})
            name, task = str(data.get("name", "unnamed data")), record.settings.get("task", "classification")
            groups.setdefault((name, data.get("fingerprint"), task), []).append(record)
    return [
        Comparison(name, [Network(*pair) for pair in zip(labels(group), group, strict=True)])
        for (name, _, _), group in groups.items()
    ]


def digits_of(n: float | None) -> int:
    """Return the decimals of a percentage of n images."""
    return Metric("top1", "top-1").digits_for(n)


def suite_title(suite: str) -> str:
    """Return the title of a suite of corruptions, in the heading of a column."""
    own = _own(suite)
    return SUITES.get(own, own) + (", published" if suite != own else "")


def suite_words(suite: str) -> str:
    """Return what a suite of corruptions is, in a heading."""
    own = _own(suite)
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
    """Return the three corruptions with the worst means, the worst first, and that with the best."""
    better = network.measure.higher_is_better
    ordered = sorted(network.corrupted(suite), key=lambda each: each.mean.value, reverse=not better)
    return ordered[:3], ordered[-1]


def _own(suite: str) -> str:
    """Return the name of the suite whose published images a suite may be: `c` of `c` and of `published_c`."""
    return suite.removeprefix(_PUBLISHED)
