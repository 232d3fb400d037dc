"""What a format reader finds: labelled images, not yet decoded, in the splits that came with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modernet.data.images.decode import Images
from modernet.errors import InputError


@dataclass(frozen=True, eq=False)
class Labelled:
    """Some images of a collection, with their labels.

    Attributes:
        images: the collection.
        indices: int64 (n,), which of its images.
        labels: int64 (n,), theirs.
        shards: int64 (n,), the shard that each lies in, where shards are fetched when they are first needed: an epoch
            then goes through a few of them at a time. None where any image is as near as any other.
    """

    images: Images
    indices: NDArray[np.int64]
    labels: NDArray[np.int64]
    shards: NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, positions: NDArray[np.int64]) -> Labelled:
        shards = None if self.shards is None else self.shards[positions]
        return Labelled(self.images, self.indices[positions], self.labels[positions], shards)


def all_of(images: Images, labels: NDArray[np.int64]) -> Labelled:
    assert len(images) == len(labels)
    return Labelled(images, np.arange(len(labels)), labels)


@dataclass(frozen=True)
class Source:
    """A data set as it lies on the disk.

    Attributes:
        path: its folder, or its address.
        classes: their names.
        train: the images to learn from, or all that there are.
        validation: None where none were set apart.
        test: likewise.
    """

    path: Path | str
    classes: tuple[str, ...]
    train: Labelled
    validation: Labelled | None = None
    test: Labelled | None = None

    def __post_init__(self) -> None:
        if len(self.classes) < 2:
            only = f"only the class {self.classes[0]!r}" if self.classes else "no class"
            raise InputError(f"{self.path} has {only}; a classifier needs at least two")
        duplicates = [name for name, count in Counter(self.classes).items() if count > 1]
        if duplicates:
            raise InputError(f"{self.path} has two classes called {duplicates[0]!r}; give each its own name")
        for name, split in (("validation", self.validation), ("test", self.test)):
            if split is not None and not len(split):
                raise InputError(f"the {name} split of {self.path} is empty; put images in it, or remove it")
        missing = np.setdiff1d(np.arange(len(self.classes)), self.train.labels)
        if len(missing):
            raise InputError(
                f"{self.path} has no training image of the class {self.classes[missing[0]]!r}; "
                "add some, or remove the class"
            )
