"""Detect losses that are not finite, and list the examples that they came from."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from modernet.errors import RunStopped

IMAGES_NAME = "non_finite.jsonl"


class NonFiniteLoss(RunStopped):
    """The loss or a weight became NaN or infinite; the last checkpoint is from before."""

    @staticmethod
    def at_step(step: int, folder: Path) -> NonFiniteLoss:
        """Return the error for a step whose examples are listed in a folder."""
        return NonFiniteLoss(
            f"the loss is not finite at step {step}; its images are listed in {folder / IMAGES_NAME}; "
            "try a lower --lr, a longer --warmup-epochs, --clip-grad 1, or skip such steps with --non-finite skip"
        )


@dataclass(frozen=True)
class SkippedStep:
    """A step whose loss is not finite."""

    step: int
    """Index of the step, from 0."""
    images: list[str]
    """Names of its examples."""


def write_skipped(folder: Path, skipped: SkippedStep) -> None:
    """Append a step to the list in a folder."""
    with (folder / IMAGES_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(skipped)) + "\n")


def check_finite(values: Mapping[str, float], when: str) -> None:
    """Raise if a value is not finite.

    Raises:
        NonFiniteLoss: a value is NaN or infinite.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"the {name} is {value} {when}; try a lower --lr, a longer --warmup-epochs, or --clip-grad 1"
            )
