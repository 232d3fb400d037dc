"""What was opened: three splits of images with their targets, and what a network must know about them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, Protocol

from torch import Tensor

from modernet.data.images.collection import Images
from modernet.data.images.marks import Marks
from modernet.data.targets import Targets, class_labels
from modernet.preparation import ImageSize, Preparation


class Split(Protocol):
    """Images with their targets. There are two kinds, `InMemory` and `OnDisk`; `make_loader` serves both."""

    @property
    def targets(self) -> Targets:
        """The targets of its images, in order."""

    def __len__(self) -> int: ...


@dataclass(frozen=True, eq=False)
class InMemory:
    """Images decoded once.

    Attributes:
        images: uint8 (n, 3, h, w), in channels_last layout.
        targets: of each image as it is in `images`.
    """

    images: Tensor
    targets: Targets

    def __post_init__(self) -> None:
        assert len(self.images) == len(self.targets)

    def __len__(self) -> int:
        return len(self.images)

    @property
    def labels(self) -> Tensor:
        """The class of each image, int64 (n,), where targets are classes."""
        return class_labels(self.targets)


@dataclass(frozen=True, eq=False)
class OnDisk:
    """Images that workers decode each time that they are shown.

    Attributes:
        images: where they are read from; image `indices[i]` of it is number i of this split.
        indices: int64 (n,).
        targets: of each image as it is stored.
        shards: int64 (n,), the shard of each image, as in `Examples`; None where every image is equally near.
    """

    images: Images
    indices: Tensor
    targets: Targets
    shards: Tensor | None = None

    def __post_init__(self) -> None:
        assert len(self.indices) == len(self.targets)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def labels(self) -> Tensor:
        """The class of each image, int64 (n,), where targets are classes."""
        return class_labels(self.targets)


def image_name(split: Split, position: int) -> str:
    """Return the name of an image of a training split in messages: its path, its file and row, or its index."""
    if isinstance(split, OnDisk):
        return split.images.name(int(split.indices[position]))
    return f"image {position} of the training split"


def short_name(split: Split, position: int) -> str:
    """Return the name of an image for a record, which must not say where its data set is stored: the last folder and
    the file, or its index.
    """
    if isinstance(split, OnDisk):
        return "/".join(PurePath(image_name(split, position)).parts[-2:])
    return f"image {position}"


@dataclass(frozen=True)
class ImageDataset:
    """Images with their targets, opened. No image is in two splits.

    Attributes:
        name: `"digit_scenes"`, or the folder's name.
        classes: names of the classes; a label is an index into them. Empty where there are no targets.
        preparation: size of the images that a network sees, how they were resized, and mean and standard deviation over
            the training split; three channels, grey is repeated.
        train: to learn from.
        validation: to choose by.
        test: to report on; nothing is chosen by it.
        unreadable: names of all images that were skipped because they could not be read.
        splits: a phrase that says where the splits come from.
        mark: marks the training images, by which they are recognised when the network is tested; it may ask for the
            size of each file. None if they are not known.
    """

    name: str
    classes: tuple[str, ...]
    preparation: Preparation
    train: Split
    validation: Split
    test: Split
    unreadable: tuple[str, ...] = ()
    splits: str = "as given"
    mark: Callable[[], Marks] | None = None

    @property
    def image_size(self) -> ImageSize:
        """Side in pixels of the square images that a network sees, or their height and width."""
        return self.preparation.image_size

    def summary(self) -> dict[str, Any]:
        """Return what belongs in a record: JSON-able, without the images; `classes` is a count."""
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


@dataclass(frozen=True)
class OpenedSplit:
    """One split of images with their targets, opened to evaluate a network.

    Attributes:
        name: `"digit_scenes"`, or the folder's name.
        classes: names of the classes, in any order; those without an image may be missing.
        split: its images.
        preparation: how images are prepared for the network.
        stored: the images as they are stored, whatever the network, and those that cannot be read among them; None
            where they are generated.
        unreadable: names of the images that were skipped because they could not be read.
    """

    name: str
    classes: tuple[str, ...]
    split: Split
    preparation: Preparation
    stored: Split | None = None
    unreadable: tuple[str, ...] = ()
