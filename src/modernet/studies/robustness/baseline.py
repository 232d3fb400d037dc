"""The network whose errors those of others are divided by: AlexNet on ImageNet's classes, or any that was tested."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

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
    def alexnet() -> Baseline:
        """AlexNet on the whole of ImageNet-C, as published."""
        return Baseline("AlexNet", ALEXNET, ALEXNET_CLEAN)

    @staticmethod
    def of(record: Record, data: str) -> Baseline:
        """Return a network that was tested on the same images.

        Args:
            record: of its test.
            data: fingerprint of the images.

        Raises:
            InputError: it was tested on other images, or on no corruptions.
        """
        if record.settings["data"]["fingerprint"] != data:
            raise InputError(
                f"the baseline {record.name} was tested on {record.settings['data']['name']}, and not on these images; "
                "test it on them, or give another --baseline"
            )
        if "corruptions" not in record.details:
            raise InputError(f"the baseline {record.name} was not tested on corruptions; give another --baseline")
        errors: dict[str, dict[int, float]] = {}
        for row in record.details["corruptions"]:
            if not row["suite"].startswith("published"):
                errors.setdefault(row["corruption"], {})[row["severity"]] = row["error"] / 100
        means = {
            name: sum(found.values()) / len(found) for name, found in errors.items() if len(found) == len(SEVERITIES)
        }
        return Baseline(record.name, means, 1 - record.metrics["clean_top1"] / 100)
