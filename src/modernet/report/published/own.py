"""Points of one's own records, to be drawn among published ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from modernet.catalogue.networks import all_networks
from modernet.records import Record
from modernet.report.benchmark.case import BenchmarkCase
from modernet.report.benchmark.summary import accuracy_of, device_of, model_of, speed_of

_IMAGENET = "imagenet"


@dataclass(frozen=True)
class OwnPoint:
    """A network that was measured here.

    Attributes:
        name: with what was measured.
        image_size: side in pixels, which accuracy, cost and speed are of.
        top1: in per cent, on ImageNet; published or measured.
        speed: images per second on `device`; None where only the accuracy was measured.
        scaled_from: the image size that the speed and the cost were measured at, where it is another one; else None.
    """

    name: str
    image_size: int
    top1: float
    params_m: float | None
    gmacs: float | None
    speed: float | None
    device: str
    scaled_from: int | str | None = None

    def values(self) -> dict[str, Any]:
        """Return its values by the names of `published_points`."""
        values = {
            "name": self.name, "family": "measured here", "source": "own", "licence": "", "extra": 0,
            "size": self.image_size, "params_m": self.params_m, "gmacs": self.gmacs, "top1": self.top1,
        }  # fmt: skip
        if self.device:
            values[self.device] = self.speed
        if self.scaled_from is not None:
            values["scaled"] = {self.device: self.scaled_from}
        return values


def own_points(records: Sequence[Record]) -> list[OwnPoint]:
    """Return the points of some records: the fastest finished benchmark in inference of each network and image size
    whose accuracy is published, and classifiers that were tested on ImageNet.
    """
    fastest: dict[tuple[str, int, str], OwnPoint] = {}
    tested: list[OwnPoint] = []
    for record in records:
        if record.kind == "benchmark" and (point := _benchmarked(record)):
            key = (point.name, point.image_size, point.device)
            if key not in fastest or (fastest[key].speed or 0) < (point.speed or 0):
                fastest[key] = point
        elif record.kind in ("train", "evaluate") and (point := _tested(record)):
            tested.append(point)
    return [*fastest.values(), *tested]


def _benchmarked(record: Record) -> OwnPoint | None:
    """Return the point of a benchmark at the image size of the published accuracy: speed and cost that were measured at
    another size are scaled by the number of pixels, and the name says so.
    """
    case, speed, top1 = BenchmarkCase.from_record(record), speed_of(record), accuracy_of(record)
    facts = all_networks().get(model_of(record))
    if speed is None or top1 is None or facts is None or case.mode != "infer" or case.image_size is None:
        return None
    sides = [int(side) for side in str(case.image_size).split("x")]
    measured = sides[0] * sides[-1]
    share = measured / facts.image_size**2
    macs = record.metrics.get("macs")
    return OwnPoint(
        model_of(record) if share == 1 else f"{model_of(record)}, speed scaled from {case.image_size} pixels",
        facts.image_size,
        top1,
        _in(record.metrics.get("params"), 1e6),
        None if macs is None else _in(macs / share, 1e9),
        speed * share,
        device_of(record),
        None if share == 1 else case.image_size,
    )


def _tested(record: Record) -> OwnPoint | None:
    settings = record.settings
    if settings.get("task", "classification") != "classification" or settings["data"]["name"] != _IMAGENET:
        return None
    split = settings.get("split", "test")
    top1 = record.metrics.get(f"{split}_top1")
    if top1 is None:
        return None
    preparation = settings.get("preparation") or settings["data"]
    size = preparation["image_size"]
    side = size if isinstance(size, int) else round((size[0] * size[1]) ** 0.5)
    params, macs = settings.get("params"), settings.get("macs")
    return OwnPoint(f"{record.name}, tested here", side, top1, _in(params, 1e6), _in(macs, 1e9), None, "")


def _in(value: float | None, unit: float) -> float | None:
    return None if value is None else round(value / unit, 3)
