"""What a format reader finds: images with their targets, not yet decoded, in the splits that came with them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data.images.collection import Images
from modernet.data.sources.split_names import require_train
from modernet.data.targets import ClassTargets, NoTargets, Targets, class_labels
from modernet.errors import InputError


@dataclass(frozen=True, eq=False)
class Examples:
    """Some images of a collection, with their targets.

    Attributes:
        images: the collection.
        indices: int64 (n,), which of its images.
        targets: their n targets.
        shards: int64 (n,), the shard of each image, where shards are fetched when they are first needed: an epoch then
            goes through a few of them at a time. None where every image is equally near.
    """

    images: Images
    indices: NDArray[np.int64]
    targets: Targets
    shards: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        assert len(self.indices) == len(self.targets)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> NDArray[np.int64]:
        """The class of each image, int64 (n,), where targets are classes."""
        labels: NDArray[np.int64] = class_labels(self.targets).numpy()
        return labels

    def take(self, positions: NDArray[np.int64]) -> Examples:
        shards = None if self.shards is None else self.shards[positions]
        return Examples(self.images, self.indices[positions], self.targets.take(positions), shards)


def all_of(images: Images, targets: Targets, shards: NDArray[np.int64] | None = None) -> Examples:
    """Return every image of a collection."""
    return Examples(images, np.arange(len(images)), targets, shards)


def labelled(images: Images, labels: NDArray[np.int64], shards: NDArray[np.int64] | None = None) -> Examples:
    """Return every image of a collection, with a class each, int64 (n,)."""
    return all_of(images, ClassTargets(torch.from_numpy(labels)), shards)


@dataclass(frozen=True)
class Source:
    """A data set as it is stored.

    Attributes:
        path: its folder, or its address.
        classes: names of the classes; empty where there are no targets.
        train: the images to learn from, or all that there are; None where there are only images to test on.
        validation: None where none were set apart.
        test: likewise.
    """

    path: Path | str
    classes: tuple[str, ...]
    train: Examples | None
    validation: Examples | None = None
    test: Examples | None = None

    def splits(self) -> dict[str, Examples]:
        """Return the splits that there are."""
        splits = {"train": self.train, "validation": self.validation, "test": self.test}
        return {name: split for name, split in splits.items() if split is not None}

    def without_targets(self) -> Source:
        """Return the same images alone."""
        bare = {name: replace(split, targets=NoTargets(len(split))) for name, split in self.splits().items()}
        return Source(self.path, (), bare.get("train"), bare.get("validation"), bare.get("test"))

    def check(self, *, to_learn: bool = True) -> None:
        """Check that a network can learn from it, or only be tested on it.

        Raises:
            InputError: a split is empty, two classes have the same name, or there is nothing to learn from: no training
                split, or too few targets in it.
        """
        for name, split in self.splits().items():
            if not len(split):
                raise InputError(f"the {name} split of {self.path} is empty; put images in it, or remove it")
        duplicates = [name for name, count in Counter(self.classes).items() if count > 1]
        if duplicates:
            raise InputError(f"{self.path} has two classes called {duplicates[0]!r}; give each its own name")
        if to_learn:
            require_train(self.path, self.splits())
            assert self.train is not None
            self.train.targets.check(self.classes, self.path)
