"""A loss that is no number: found, said, and the images that it came from written down."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from modernet.errors import RunStopped

IMAGES_NAME = "non_finite.jsonl"


class NonFiniteLoss(RunStopped):
    """The loss or a weight became NaN or infinite. The last checkpoint, from before, is still there."""

    @staticmethod
    def at_step(step: int, folder: Path) -> NonFiniteLoss:
        """The error for a step whose images were written down in a folder."""
        return NonFiniteLoss(
            f"the loss is not finite at step {step}; its images are listed in {folder / IMAGES_NAME}; "
            "try a lower --lr, a longer --warmup-epochs or --clip-grad 1, or leave such steps out with "
            "--non-finite skip"
        )


@dataclass(frozen=True)
class SkippedStep:
    """A step with a loss that is not finite."""

    step: int
    """Its number, from 0."""
    images: list[str]


def write_skipped(folder: Path, skipped: SkippedStep) -> None:
    """Add a step to the list in a folder."""
    with (folder / IMAGES_NAME).open("a", encoding="utf-8") as file:
        file.write(json.dumps(asdict(skipped)) + "\n")


def check_finite(values: Mapping[str, float], when: str) -> None:
    """Stop a run whose numbers are not numbers any more.

    Raises:
        NonFiniteLoss: a value is NaN or infinite.
    """
    for name, value in values.items():
        if not math.isfinite(value):
            raise NonFiniteLoss(
                f"the {name} is {value} {when}; try a lower --lr, a longer --warmup-epochs, or --clip-grad 1"
            )
