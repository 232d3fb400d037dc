"""Maps of integers, in memory or read one by one: label maps, and masks of objects."""

from __future__ import annotations

from hashlib import blake2b
from typing import Protocol

from torch import Tensor

from modernet.data.images.views import Box
from modernet.data.targets.contract import Ints


class Maps(Protocol):
    """Maps of integers that are read one by one, such as label maps, or masks in a compressed form."""

    def __len__(self) -> int: ...

    def identity(self, index: int) -> str:
        """As `Images.identity`."""

    def read(self, index: int) -> Tensor:
        """Return a map, (h, w), of the size of its upright image.

        Raises:
            UnreadableImage: it cannot be decoded.
        """


class MaskMaps(Maps, Protocol):
    """Masks that are read one by one, each as the part of its image that holds it."""

    def window(self, index: int) -> tuple[Box, Tensor]:
        """Return the smallest window that holds a mask, and the mask within it, bool (height, width); both empty where
        it has no pixel.
        """


def read_map(maps: Tensor | Maps, index: int) -> Tensor:
    return maps[index] if isinstance(maps, Tensor) else maps.read(index)


def digest_of_maps(maps: Tensor | Maps, indices: Ints) -> bytes:
    content = blake2b(digest_size=16)
    for index in indices.tolist():
        if isinstance(maps, Tensor):
            content.update(maps[index].cpu().numpy().tobytes())
        else:
            content.update(maps.identity(index).encode(errors="surrogateescape"))  # names of files need not be UTF-8
    return content.digest()
