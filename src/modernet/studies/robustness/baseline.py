"""The network whose errors those of others are divided by: AlexNet on ImageNet's classes, or any that was tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from modernet.data.transforms.corruptions import SEVERITIES
from modernet.errors import InputError
from modernet.evaluation.robustness import ALEXNET, ALEXNET_CLEAN
from modernet.records import Record


@dataclass(frozen=True)
class Baseline:
    """A network with its errors.

    Attributes:
        name: of the network.
        errors: mean over five severities of its top-1 error, in [0, 1], by corruption.
        clean: its error on clean images, in [0, 1].
    """

    name: str
    errors: Mapping[str, float] = field(repr=False)
    clean: float

    @staticmethod
    def alexnet(n: int, classes: int) -> Baseline:
        """AlexNet on the whole of ImageNet-C, as published.

        Args:
            n: number of the images on which another network is compared with it.
            classes: number of their classes.
        """
        here = "" if (n, classes) == (50_000, 1_000) else f" (here: {n:,} images, {classes:,} classes)"
        return Baseline(f"AlexNet on all 50,000 images of 1,000 classes{here}", ALEXNET, ALEXNET_CLEAN)

    @staticmethod
    def of(record: Record, settings: Mapping[str, Any], frost: str | None) -> Baseline:
        """Return a network that was tested on the same images, corrupted alike.

        Args:
            record: of its test.
            settings: of the test of the other network, as its record has them.
            frost: what its frost is made from, see `Cell.origin`; None: it is not tested on frost.

        Raises:
            InputError: it was tested on other images, in another way, or on no corruptions.
        """
        own = record.settings
        if own.get("task") != "classification":
            raise InputError(f"the baseline {record.name} is no classifier; give another --baseline")
        if own["data"]["fingerprint"] != settings["data"]["fingerprint"]:
            raise InputError(
                f"the baseline {record.name} was tested on {own['data']['name']}, and not on these images; "
                "test it on them, or give another --baseline"
            )
        if "corruptions" not in record.details:
            raise InputError(f"the baseline {record.name} was not tested on corruptions; give another --baseline")
        its = {"seed": own["seed"], "frost": own.get("frost"), **_corrupted(own)}
        ours = {"seed": settings["seed"], "frost": frost, **_corrupted(settings)}
        for name, value in ours.items():
            if its[name] != value and None not in (its[name], value):
                raise InputError(
                    f"the baseline {record.name} was tested with {name} {its[name]!r}, not {value!r}; test it with "
                    "that, or give another --baseline"
                )
        errors: dict[str, dict[int, float]] = {}
        for row in record.details["corruptions"]:
            if not row["suite"].startswith("published"):
                errors.setdefault(row["corruption"], {})[row["severity"]] = row["error"] / 100
        means = {
            name: sum(found.values()) / len(found) for name, found in errors.items() if len(found) == len(SEVERITIES)
        }
        return Baseline(record.name, means, 1 - record.metrics["clean_top1"] / 100)


def _corrupted(settings: Mapping[str, Any]) -> dict[str, str]:
    """Return how images are corrupted, for people; what the network sees of them is not part of it."""
    return {name: settings["protocol"][name] for name in ("images", "stored")}
