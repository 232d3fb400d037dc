"""What was opened: three splits of labelled images and what a network must know about them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from torch import Tensor

from modernet.data.images.decode import Images


class Split(Protocol):
    """Labelled images. There are two kinds, `InMemory` and `OnDisk`; `make_loader` serves both."""

    @property
    def labels(self) -> Tensor:
        """The class of each image, int64 (n,)."""

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Images decoded once.

    Attributes:
        images: uint8 (n, 3, h, w), in channels_last layout.
        labels: int64 (n,).
    """

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class OnDisk:
    """Images decoded anew by workers each time that they are shown.

    Attributes:
        images: where they are read from; image `indices[i]` of it is number i of this split.
        indices: int64 (n,).
        labels: int64 (n,).
        shards: int64 (n,), the shard that each lies in, as in `Labelled`; None where any image is as near as another.
    """

    images: Images
    indices: Tensor
    labels: Tensor
    shards: Tensor | None = None

    def __len__(self) -> int:
        return len(self.labels)


def image_name(split: Split, position: int) -> str:
    """What a message calls an image of a training split: its path, its file and row, or its number, from 0."""
    if isinstance(split, OnDisk):
        return split.images.name(int(split.indices[position]))
    return f"image {position} of the training split"


@dataclass(frozen=True)
class ImageDataset:
    """Images with a class each, opened. No image is in two splits.

    Attributes:
        name: `"digit_scenes"`, or the folder's name.
        classes: the names of the classes; a label is an index into them.
        image_size: side in pixels of the square images that a network gets.
        mean: mean of each channel over the training split, for images in [0, 1]; three channels, grey is repeated.
        std: standard deviation, in the same way.
        train: to learn from.
        validation: to choose by.
        test: to report on; nothing is chosen by it.
        unreadable: the names of all images that were skipped because they could not be read.
        splits: where the splits come from, in words.
    """

    name: str
    classes: tuple[str, ...]
    image_size: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train: Split
    validation: Split
    test: Split
    unreadable: tuple[str, ...] = ()
    splits: str = "as given"

    def summary(self) -> dict[str, Any]:
        """What belongs in a record: JSON-able, without the images; `classes` is a count."""
        return {
            "name": self.name,
            "classes": len(self.classes),
            "image_size": self.image_size,
            "n_train": len(self.train),
            "n_validation": len(self.validation),
            "n_test": len(self.test),
            "splits": self.splits,
            "unreadable": list(self.unreadable),
        }
