"""What targets are to the rest of data."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, Self

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data.images.views import View
from modernet.data.transforms.moves import Moves

TargetKind = Literal["classes", "semantic", "boxes", "none"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


class Targets(Protocol):
    """The targets of n images.

    Attributes:
        spatial: whether they have a place in the image, so that what moves pixels must move them.
        fitted: whether images are fitted into their size and padded, instead of covering it; then targets are mapped by
            views alone, each time that an image is shown, and nothing is left to move in a batch.
    """

    spatial: ClassVar[bool]
    fitted: ClassVar[bool]

    def __len__(self) -> int: ...

    def take(self, positions: Ints) -> Self:
        """Return those of some images, in this order; an image may be taken several times."""

    def strata(self) -> Ints | None:
        """Return the class that a split is balanced over, int64 (n,); None where there is no such thing."""

    def digest(self) -> bytes:
        """Return bytes that differ where targets differ, for the identity of a run."""

    def check(self, classes: Sequence[str], where: Path | str) -> None:
        """Check that a network can learn from them.

        Args:
            classes: names of the classes.
            where: what a message calls the data set.

        Raises:
            InputError: there are too few classes, or one without an image.
        """

    def show(self, views: Sequence[View]) -> Self:
        """Map them by a view of each image, and read them into memory.

        Raises:
            UnreadableImage: a map cannot be read.
        """

    def to(self, device: torch.device) -> Self:
        """Return them with large tensors on a device, where batches are then gathered."""

    def collate(self) -> Any:
        """Make one batch of all of them, which are in memory."""

    def move(self, batch: Any, moves: Moves) -> Any:
        """Move the targets of a batch as its images are moved."""
