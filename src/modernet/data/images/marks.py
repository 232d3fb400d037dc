"""Marks by which a trained network recognises its training images, so that none is tested on in silence."""

from __future__ import annotations

from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modernet.data.images.collection import Images
from modernet.errors import InputError, one_line
from modernet.files.atomic import whole_file

MARKS_NAME = "trained_on.npy"


@dataclass(frozen=True, eq=False)
class Marks:
    """A number for each of some images: a hash of its name and size, `Images.identity` and `Images.versions`.

    An image that was renamed or encoded again has another mark.

    Attributes:
        numbers: uint64 (n,), ascending.
    """

    numbers: NDArray[np.uint64]

    @staticmethod
    def of(images: Images, indices: NDArray[np.int64]) -> Marks:
        """Mark some images of a collection; 8 bytes each, so that a million take 8 MB."""
        return Marks(np.sort(_hashed(images, indices)))

    def __len__(self) -> int:
        return len(self.numbers)

    def count(self, images: Images, indices: NDArray[np.int64]) -> int:
        """Return how many of some images have one of these marks."""
        return int(np.isin(_hashed(images, indices), self.numbers).sum()) if len(self.numbers) else 0

    def __or__(self, other: Marks) -> Marks:
        """Return the marks of the images of both."""
        return Marks(np.union1d(self.numbers, other.numbers))

    def write(self, folder: Path) -> None:
        """Write them to a folder, atomically."""
        with whole_file(folder / MARKS_NAME) as unfinished, unfinished.open("wb") as file:
            np.save(file, self.numbers)


NO_MARKS = Marks(np.empty(0, np.uint64))
"""Of images that are generated, so that no stored one is the same."""


def read_marks(folder: Path) -> Marks | None:
    """Read what `Marks.write` wrote; None if the folder has no marks, as those of early versions.

    Raises:
        InputError: the file is damaged.
    """
    path = folder / MARKS_NAME
    if not path.exists():
        return None
    try:
        with path.open("rb") as file:
            return Marks(np.lib.format.read_array(file, allow_pickle=False))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read ({one_line(error)}); remove it") from error


def _hashed(images: Images, indices: NDArray[np.int64]) -> NDArray[np.uint64]:
    names = (images.identity(index).encode(errors="surrogateescape") for index in indices.tolist())
    versions = images.versions(indices).tolist()
    pairs = zip(names, versions, strict=True)
    content = b"".join(blake2b(b"%d %s" % (version, name), digest_size=8).digest() for name, version in pairs)
    return np.frombuffer(content, dtype=np.uint64)
