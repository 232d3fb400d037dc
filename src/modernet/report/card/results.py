"""The results of a card: which metric has which value, on what."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from modernet.records import Metric, Record
from modernet.report.card.subject import Card
from modernet.statistics import Interval, wilson_interval

_SHARES = {"classification": ("top1", "top5"), "sequences": ("accuracy",), "points": ("accuracy",)}
"""Task -> the metrics that are shares of the examples, whose interval follows from their number."""

_FIVE = 5  # classes; with so few, every answer is among the best five


class Result(NamedTuple):
    """One value of a metric.

    Attributes:
        metric: what it is.
        value: in the metric's unit.
        n: examples behind it; None where not stored.
        interval: at 95 %, over the examples; None where unknown.
        data: name of the data set.
        split: of it; empty for a test of robustness.
        kind: of the record that has it.
    """

    metric: Metric
    value: float
    n: int | None
    interval: Interval | None
    data: str
    split: str
    kind: str

    @property
    def digits(self) -> int:
        """Decimals of the value."""
        return self.metric.digits_for(self.n)


def results(card: Card) -> list[Result]:
    """Return the results of the run's own test, then those of its evaluations and tests of robustness, each once."""
    found = list(_of_split(card.run, card.task, "test"))
    for record in card.of_kind("evaluate"):
        found += _of_split(record, card.task, str(record.settings.get("split", "test")))
    for record in card.of_kind("robustness"):
        found += _of_robustness(record)
    seen = {(each.metric.name, each.data, each.split, each.n, round(each.value, 6)): each for each in reversed(found)}
    return [each for each in found if each in seen.values()]


def data_name(record: Record) -> str:
    """Return the name of the data of a record."""
    return str(record.settings.get("data", {}).get("name", "unnamed data"))


def _of_split(record: Record, task: str, split: str) -> Iterator[Result]:
    n = _count(record.metrics.get(f"{split}_n"))
    for metric in record.task_metrics:
        name = f"{split}_{metric.name}"
        value = record.metrics.get(name)
        few = metric.name == "top5" and record.settings.get("data", {}).get("classes", _FIVE + 1) <= _FIVE
        if value is not None and not few:
            interval = _stored_interval(record, name)
            if interval is None and n and metric.name in _SHARES.get(task, ()):
                ends = wilson_interval(min(max(value / 100, 0.0), 1.0), n)
                interval = Interval(100 * ends.low, 100 * ends.high)
            yield Result(metric, value, n, interval, data_name(record), split, record.kind)


def _of_robustness(record: Record) -> Iterator[Result]:
    data: dict[str, Any] = record.settings.get("data", {})
    for metric in record.task_metrics:
        value = record.metrics.get(metric.name)
        if value is not None:
            interval = _stored_interval(record, metric.name)
            yield Result(metric, value, _count(data.get("n")), interval, data_name(record), "", record.kind)


def _stored_interval(record: Record, name: str) -> Interval | None:
    low, high = record.metrics.get(f"{name}_low"), record.metrics.get(f"{name}_high")
    return None if low is None or high is None else Interval(low, high)


def _count(value: float | None) -> int | None:
    return None if value is None else round(value)
