"""Collections of images: what the rest of data knows of the files or arrays that hold them."""

from __future__ import annotations

import zlib
from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.images.decoding import decode_image, decode_view, stored_size
from modernet.data.images.views import ChooseView, View
from modernet.preparation import Interpolation


class Images(Protocol):
    """Images that can be read one by one, in any order, from any thread or process."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """Return the name of the image in messages: its path, or its file and row."""

    def identity(self, index: int) -> str:
        """Return a unique string that stays the same when other images are added and when the data set is moved."""

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a number for each image that changes when its content does, known without reading the images.

        Usually it is the stored size in bytes, which misses other content of the same size.
        """

    def size(self, index: int) -> tuple[int, int]:
        """Return height and width in pixels as stored, without decoding the image."""

    def read(self, index: int) -> Tensor:
        """Read the upright image, uint8 (3, h, w).

        Raises:
            UnreadableImage: it cannot be decoded.
        """

    def read_view(self, index: int, choose: ChooseView, interpolation: Interpolation) -> tuple[Tensor, View]:
        """Read a view of the image: `View.show` of what `read` returns, in less time.

        A JPEG of which a much larger box is wanted is decoded at a half, a quarter or an eighth of its size: that
        changes a byte of the result by less than one in the mean.

        Args:
            choose: called once, with the size of the upright image.

        Returns:
            The pixels, uint8 (3, *size), and the view that was chosen, which maps targets.

        Raises:
            UnreadableImage: it cannot be decoded.
        """


class EncodedImages(ABC):
    """Images that are stored as the bytes of an image file."""

    @abstractmethod
    def __len__(self) -> int: ...

    @abstractmethod
    def name(self, index: int) -> str:
        """As `Images.name`."""

    @abstractmethod
    def identity(self, index: int) -> str:
        """As `Images.identity`."""

    @abstractmethod
    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """As `Images.versions`."""

    @abstractmethod
    def content(self, index: int) -> bytes:
        """Return the bytes of an image.

        Raises:
            UnreadableImage: they cannot be read.
        """

    def size(self, index: int) -> tuple[int, int]:
        return stored_size(self.content(index), self.name(index))

    def read(self, index: int) -> Tensor:
        return decode_image(self.content(index), self.name(index))

    def read_view(self, index: int, choose: ChooseView, interpolation: Interpolation) -> tuple[Tensor, View]:
        return decode_view(self.content(index), self.name(index), choose, interpolation)


class DecodedImages:
    """Images that are stored as pixels, all of one size.

    Args:
        pixels: uint8 (n, 3, h, w), or (n, h, w) for grey.
        file: where the images come from, for messages.
    """

    def __init__(self, pixels: Tensor, file: str) -> None:
        self.pixels, self.file = pixels, file

    def __len__(self) -> int:
        return len(self.pixels)

    def name(self, index: int) -> str:
        return f"{self.file}, image {index}"

    def identity(self, index: int) -> str:
        return str(index)

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        pixels = self.pixels.numpy()  # there is no stored size, but the pixels are in memory
        return np.array([zlib.crc32(pixels[index].tobytes()) for index in indices.tolist()], dtype=np.int64)

    def size(self, index: int) -> tuple[int, int]:
        h, w = self.pixels.shape[-2:]
        return h, w

    def read(self, index: int) -> Tensor:
        image = self.pixels[index]
        return image if image.ndim == 3 else image.expand(3, -1, -1)

    def read_view(self, index: int, choose: ChooseView, interpolation: Interpolation) -> tuple[Tensor, View]:
        view = choose(*self.size(index))
        return view.show(self.read(index), interpolation), view


class WrappedImages:
    """The images of another collection; a subclass changes what is read.

    Args:
        images: the other collection.
    """

    def __init__(self, images: Images) -> None:
        self.images = images

    def __len__(self) -> int:
        return len(self.images)

    def name(self, index: int) -> str:
        return self.images.name(index)

    def identity(self, index: int) -> str:
        return self.images.identity(index)

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return self.images.versions(indices)

    def size(self, index: int) -> tuple[int, int]:
        return self.images.size(index)

    def read(self, index: int) -> Tensor:
        return self.images.read(index)

    def read_view(self, index: int, choose: ChooseView, interpolation: Interpolation) -> tuple[Tensor, View]:
        return self.images.read_view(index, choose, interpolation)
