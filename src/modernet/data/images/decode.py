"""Images: found, and decoded to RGB."""

from __future__ import annotations

import glob
import io
import math
import os
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from modernet.data.images.views import Box, ChooseView, View, cut
from modernet.errors import InputError, one_line
from modernet.preparation import Interpolation, Size

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"})

_EXIF_ORIENTATION = 0x0112
_EXIF_UPRIGHT = 1
_EXIF_SIDEWAYS = (5, 6, 7, 8)
_EXIF_RIGHT_IS_LEFT = (2, 3, 6, 7)  # the right or lower border of what is stored comes to the left of the upright
_EXIF_BOTTOM_IS_TOP = (3, 4, 7, 8)  # likewise to the top
_SHRINKS = (8, 4, 2)  # by which a JPEG can be decoded smaller
_SURPLUS = 2  # pixels left for each pixel of the result, so that its antialiasing hides how they were shrunk
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class UnreadableImage(InputError):
    """An image that cannot be decoded.

    Attributes:
        name: its path, or its file and row.
        reason: why, in a few words.
    """

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"cannot read the image {name}: {reason}")
        self.name, self.reason = name, reason

    def __reduce__(self) -> tuple[type[UnreadableImage], tuple[str, str]]:
        return UnreadableImage, (self.name, self.reason)  # it crosses from a worker process to the training process


class Images(Protocol):
    """Images that can be read one by one, in any order, from any thread or process."""

    def __len__(self) -> int: ...

    def name(self, index: int) -> str:
        """What a message calls the image: its path, or its file and row."""

    def identity(self, index: int) -> str:
        """What stays the same when other images are added, and when the data set is moved; no two are alike."""

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return a number for each image that changes when its content does, known without reading the images.

        As a rule it is the stored size in bytes, which misses another content of the same size.
        """

    def size(self, index: int) -> tuple[int, int]:
        """Height and width in pixels as they are stored, without decoding the image."""

    def read(self, index: int) -> Tensor:
        """The image, uint8 (3, h, w).

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
    """Images that lie somewhere as the bytes of a file."""

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
        """The bytes of an image.

        Raises:
            UnreadableImage: they cannot be had.
        """

    def size(self, index: int) -> tuple[int, int]:
        return stored_size(self.content(index), self.name(index))

    def read(self, index: int) -> Tensor:
        return decode_image(self.content(index), self.name(index))

    def read_view(self, index: int, choose: ChooseView, interpolation: Interpolation) -> tuple[Tensor, View]:
        return decode_view(self.content(index), self.name(index), choose, interpolation)


class DecodedImages:
    """Images that come as pixels, all of one size.

    Args:
        pixels: uint8 (n, 3, h, w), or (n, h, w) for grey.
        file: what the images were read from, for messages.
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


def read_image(path: str | os.PathLike[str]) -> Tensor:
    """Read one image as RGB, uint8 (3, h, w), turned upright as its EXIF orientation says.

    Grey images are repeated to three channels, palettes looked up, CMYK and YCbCr converted; transparent images are
    laid on white; 16-bit grey keeps its upper eight bits; of an animation the first frame is taken.

    Raises:
        UnreadableImage: the file is missing, truncated, no image, or of floating-point pixels without a known
            range.
    """
    return decode_image(_content(Path(path)), str(path))


def decode_image(data: bytes, name: str) -> Tensor:
    """`read_image` for the bytes of a file; `name` is what the error calls it."""
    with _opened(data, name) as image:
        return _decoded(image, data)


def decode_view(
    data: bytes, name: str, choose: ChooseView, interpolation: Interpolation = "bilinear"
) -> tuple[Tensor, View]:
    """`Images.read_view` for the bytes of a file; `name` is what the error calls it."""
    with _opened(data, name) as image:
        h, w = image.height, image.width
        if _orientation(image) in _EXIF_SIDEWAYS:
            h, w = w, h
        view = choose(h, w)
        return view.render(h, w, lambda box, size: _scaled(image, data, (h, w), box, size, interpolation)), view


def _scaled(
    image: Image.Image, data: bytes, upright: Size, box: Box, size: Size, interpolation: Interpolation
) -> Tensor:
    """Decode a box of an image, of height and width `upright`, and scale it to `size`."""
    shrink = _shrink(box, size) if _is_plain_jpeg(image) else 1
    if shrink == 1:
        return cut(_decoded(image, data), box, size, interpolation)
    (h, w), orientation = upright, _orientation(image)
    image.draft(image.mode, (image.width // shrink, image.height // shrink))
    small = _upright(image)
    # where the size is no multiple of shrink, the stored image has a fraction of a pixel too much at its end
    left = box.left / shrink + (small.width - w / shrink if orientation in _EXIF_RIGHT_IS_LEFT else 0)
    top = box.top / shrink + (small.height - h / shrink if orientation in _EXIF_BOTTOM_IS_TOP else 0)
    right, bottom = left + box.width / shrink, top + box.height / shrink
    x, y = int(left), int(top)
    part = small.crop((x, y, math.ceil(right), math.ceil(bottom)))  # or what lies around it would be mixed in
    fractions = (left - x, top - y, right - x, bottom - y)
    return _pixels(part.resize((size[1], size[0]), _FILTERS[interpolation], box=fractions))


def stored_size(data: bytes, name: str) -> tuple[int, int]:
    """Height and width as they are stored, before any orientation, from the header alone."""
    with _opened(data, name) as image:
        w, h = image.size
        return h, w


def stored_format(data: bytes, name: str) -> str:
    """What PIL calls the format, such as `"JPEG"`, from the header alone."""
    with _opened(data, name) as image:
        assert image.format is not None  # only of images that come from no file
        return image.format


def skippable(error: UnreadableImage) -> InputError:
    """The error for an image that stops a run, with what can be done about it."""
    return InputError(
        f"{error}; repair it, remove it, or skip such images with skip_unreadable=True (--skip-unreadable)"
    )


def find_images(patterns: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """The image files that files, folders (searched to the bottom) and shell patterns (`"photos/*.jpg"`) name.

    A file that is named itself is taken whatever its suffix; in folders and patterns only images count.

    Returns:
        The paths, sorted, each once.

    Raises:
        InputError: a pattern matches no image.
    """
    found: set[Path] = set()
    for pattern in patterns:
        path = Path(pattern).expanduser()
        if path.is_file():
            matches = [path]
        elif path.is_dir():
            matches = images_below(path)
        else:
            globbed = [Path(match) for match in glob.glob(str(path), recursive=True)]  # noqa: PTH207 - patterns may be absolute
            matches = [match for match in globbed if match.is_file() and is_image(match)]
        if not matches:
            raise InputError(
                f"no image matches {str(pattern)!r}; give image files, folders that hold them, "
                "or a pattern such as 'photos/*.jpg'"
            )
        found.update(matches)
    return sorted(found)


def images_below(folder: Path) -> list[Path]:
    """Every image file in a folder and below it, sorted by path; hidden files and folders do not count."""
    found: list[Path] = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not is_hidden(name)]
        found += [path for name in files if is_image(path := Path(parent, name))]
    return sorted(found)


def is_image(path: Path) -> bool:
    return path.suffix.lower() in IMAGE_SUFFIXES and not is_hidden(path.name)


def is_hidden(name: str) -> bool:
    """Whether a name belongs to the system rather than to the user: `.DS_Store`, `._photo.jpg`, `__MACOSX`."""
    return name.startswith((".", "__MACOSX"))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(str(path), error.strerror or str(error)) from error


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """The image, of which the header is read; what goes wrong with it is an `UnreadableImage`."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except Exception as error:  # on damaged bytes, codecs raise anything from SyntaxError to struct.error
        raise UnreadableImage(name, _reason(error, data)) from error


def _shrink(box: Box, size: Size) -> int:
    """By how much a JPEG may be decoded smaller."""
    room = min(box.height / (_SURPLUS * size[0]), box.width / (_SURPLUS * size[1]))
    return next((shrink for shrink in _SHRINKS if shrink <= room), 1)


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(_EXIF_ORIENTATION, _EXIF_UPRIGHT))


def _upright(image: Image.Image) -> Image.Image:
    """RGB, turned as EXIF says, which would copy even what is upright."""
    return _to_rgb(image if _orientation(image) == _EXIF_UPRIGHT else ImageOps.exif_transpose(image))


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # h w c -> c h w


def _is_plain_jpeg(image: Image.Image) -> bool:
    return image.format == "JPEG" and image.mode in ("RGB", "L")


def _decoded(image: Image.Image, data: bytes) -> Tensor:
    """All of it, upright."""
    if _is_plain_jpeg(image) and _orientation(image) == _EXIF_UPRIGHT:
        with suppress(ValueError):  # PIL mends it, or says what is wrong
            return torch.from_numpy(simplejpeg.decode_jpeg(data)).permute(2, 0, 1)  # the same bytes, in less time
    return _pixels(_upright(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # 16-bit grey; PIL's own conversion would clip it at 255
        grey = np.asarray(image).astype(np.int64) >> 8
        image = Image.fromarray(grey.clip(0, 255).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits a channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _reason(error: Exception, data: bytes) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "it is not an image, or of a format that is not supported"
    return one_line(error)
