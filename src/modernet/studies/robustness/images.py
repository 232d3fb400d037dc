"""The images that a network is tested on."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from modernet.data import OpenedSplit, open_split
from modernet.data.fingerprint import split_fingerprint
from modernet.data.images.marks import Marks
from modernet.data.reading import examples_of, on_disk
from modernet.evaluation import numbered_split
from modernet.preparation import Preparation


class OpenedImages(NamedTuple):
    """Images that a network is tested on.

    Attributes:
        opened: as they are stored, with the numbers that their classes have for the network.
        fingerprint: of the images and their classes, whatever the network.
    """

    opened: OpenedSplit
    fingerprint: str

    @staticmethod
    def open(
        spec: str,
        classes: tuple[str, ...],
        preparation: Preparation,
        marks: Marks | None,
        class_map: Path | None,
        skip_unreadable: bool,
        most: int | None = None,
    ) -> OpenedImages:
        """Open images. None is decoded, except to find those that cannot be read.

        Args:
            spec, marks, skip_unreadable: as `open_split` takes them.
            classes: of the network.
            preparation: of the images.
            class_map: as `match_classes` takes it.
            most: images, as `evenly` chooses them.

        Raises:
            InputError: they cannot be opened, or one has a class that the network does not know.
        """
        opened = open_split(spec, "test", preparation, marks=marks, skip_unreadable=skip_unreadable, memory_limit_mb=0)
        opened = evenly(opened, most)
        return OpenedImages(
            replace(opened, split=numbered_split(opened, classes, class_map)), split_fingerprint(opened)
        )

    def identity(self) -> dict[str, str]:
        """Return what decides the answers for them, besides the network: images and the numbers of their classes."""
        labels = hashlib.sha256(self.opened.split.targets.digest()).hexdigest()[:12]
        return {"images": self.fingerprint, "labels": labels}


def evenly(opened: OpenedSplit, most: int | None) -> OpenedSplit:
    """Return a split with at most so many of its images, evenly from the whole of it; None: all."""
    n = len(opened.split)
    if most is None or n <= most:
        return opened
    chosen = np.linspace(0, n - 1, most).round().astype(np.int64)
    split = on_disk(examples_of(opened.split).take(chosen))
    return replace(opened, split=split, stored=split)
