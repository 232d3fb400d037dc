"""Images that are one file each; a million of them in compact form."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modernet.data.images.collection import EncodedImages
from modernet.data.images.decoding import UnreadableImage
from modernet.files.names import valid_text
from modernet.progress import track

_CHUNK = 1000  # files that a thread asks for at a time
_THREADS = 16  # a network file system answers each in about a millisecond


class ImageFiles(EncodedImages):
    """Image files below one folder. A million take some 40 MB and reach a worker process in one piece.

    Args:
        folder: their common root.
        parents: the folders that hold them, relative to `folder`, with `/` between their parts; `""` is `folder`.
        parent_of: int32 (n,), index of the folder of each file in `parents`.
        names: binary (n,), the files' names as the system encodes them.
    """

    def __init__(self, folder: Path, parents: Sequence[str], parent_of: NDArray[np.int32], names: pa.Array) -> None:
        assert len(parent_of) == len(names)
        self.folder, self.parents, self.parent_of, self.names = folder, tuple(parents), parent_of, names

    def __len__(self) -> int:
        return len(self.names)

    def name(self, index: int) -> str:
        return valid_text(str(self.path(index)))

    def identity(self, index: int) -> str:
        parent, name = self.parents[self.parent_of[index]], os.fsdecode(self.names[index].as_py())
        return f"{parent}/{name}" if parent else name

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        chunks = np.array_split(indices, len(indices) // _CHUNK + 1)
        with ThreadPoolExecutor(_THREADS) as threads:
            found = track(threads.map(self._sizes, chunks), f"checking the files in {self.folder}", len(chunks))
            return np.concatenate(list(found))

    def _sizes(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        folder = str(self.folder)
        return np.array([_size(f"{folder}/{self.identity(index)}") for index in indices.tolist()], dtype=np.int64)

    def path(self, index: int) -> Path:
        """Return the path of an image."""
        return self.folder / self.identity(index)

    def take(self, indices: NDArray[np.int64]) -> ImageFiles:
        """Return some of the images, in that order."""
        return ImageFiles(self.folder, self.parents, self.parent_of[indices], self.names.take(pa.array(indices)))

    def content(self, index: int) -> bytes:
        path = self.path(index)
        try:
            return path.read_bytes()
        except OSError as error:
            raise UnreadableImage(valid_text(str(path)), error.strerror or str(error)) from error


def _size(path: str) -> int:
    """Return the size of a file in bytes; -1 if it cannot be had, which is reported when the file is read."""
    try:
        return os.stat(path).st_size  # noqa: PTH116 - a million times
    except OSError:
        return -1
