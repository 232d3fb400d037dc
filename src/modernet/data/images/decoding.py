"""The bytes of an image file -> RGB pixels, all of them or a view."""

from __future__ import annotations

import io
import math
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import simplejpeg
import torch
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from torch import Tensor

from modernet.data.images.views import Box, ChooseView, View, cut
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text
from modernet.preparation import Interpolation, Size

_EXIF_ORIENTATION = 0x0112
_EXIF_UPRIGHT = 1
_EXIF_SIDEWAYS = (5, 6, 7, 8)
_EXIF_RIGHT_IS_LEFT = (2, 3, 6, 7)  # the stored right or lower border is on the left of the upright image
_EXIF_BOTTOM_IS_TOP = (3, 4, 7, 8)  # likewise at the top
_SHRINKS = (8, 4, 2)  # by which a JPEG can be decoded smaller
_SURPLUS = 2  # pixels left for each pixel of the result, so that its antialiasing hides how they were shrunk
_MOST_MEGAPIXELS = 256  # 768 MB as RGB
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}

_opening = threading.Lock()  # held while PIL's limit is off

if hasattr(os, "register_at_fork"):
    # a thread that holds it may not exist in the child
    os.register_at_fork(before=_opening.acquire, after_in_parent=_opening.release, after_in_child=_opening.release)


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
        return UnreadableImage, (self.name, self.reason)  # it is pickled on the way out of a worker process


def skippable(error: UnreadableImage) -> InputError:
    """Return the error for an image that stops a run, with what can be done about it."""
    return InputError(
        f"{error}; repair it, remove it, or skip such images with skip_unreadable=True (--skip-unreadable)"
    )


def read_image(path: str | os.PathLike[str]) -> Tensor:
    """Read one image as RGB, uint8 (3, h, w), turned upright by its EXIF orientation.

    Grey images are repeated to three channels, palettes are looked up, CMYK and YCbCr are converted; transparent images
    are composited on white; of grey with more than 8 bits the upper eight in use are kept (`grey_bits`); animations
    give their first frame.

    Raises:
        UnreadableImage: the file is missing, truncated, not an image, has more than 256 megapixels
            (`$MODERNET_MAX_MEGAPIXELS`), or its pixels have an unknown range: floating-point numbers, or integers that
            are negative or take more than 16 bits.
    """
    return decode_image(_content(Path(path)), valid_text(str(path)))


def read_view(
    path: str | os.PathLike[str], choose: ChooseView, interpolation: Interpolation = "bilinear"
) -> tuple[Tensor, View]:
    """Read a view of one image, as `Images.read_view` does.

    Raises:
        UnreadableImage: as `read_image`.
    """
    return decode_view(_content(Path(path)), valid_text(str(path)), choose, interpolation)


def decode_image(data: bytes, name: str) -> Tensor:
    """Decode the bytes of a file, as `read_image` does; `name` is its name in errors."""
    with opened(data, name) as image:
        return _decoded(image, data)


def decode_view(
    data: bytes, name: str, choose: ChooseView, interpolation: Interpolation = "bilinear"
) -> tuple[Tensor, View]:
    """Decode a view of the bytes of a file, as `Images.read_view` does; `name` is its name in errors."""
    with opened(data, name) as image:
        h, w = image.height, image.width
        if _orientation(image) in _EXIF_SIDEWAYS:
            h, w = w, h
        view = choose(h, w)
        return view.render(h, w, lambda box, size: _scaled(image, data, (h, w), box, size, interpolation)), view


def _scaled(
    image: Image.Image, data: bytes, upright: Size, box: Box, size: Size, interpolation: Interpolation
) -> Tensor:
    """Decode a box of an image, of height and width `upright`, and scale it to `size`."""
    shrink = _shrink(box, size) if _is_plain_jpeg(image) and interpolation in _FILTERS else 1
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
    part = small.crop((x, y, math.ceil(right), math.ceil(bottom)))  # or its surroundings would be mixed in
    fractions = (left - x, top - y, right - x, bottom - y)
    return _pixels(part.resize((size[1], size[0]), _FILTERS[interpolation], box=fractions))


def stored_size(data: bytes, name: str) -> tuple[int, int]:
    """Return height and width as stored, before any orientation, from the header alone."""
    with opened(data, name) as image:
        w, h = image.size
        return h, w


def grey_bits(data: bytes, name: str) -> int | None:
    """Return how many bits of a grey image with more than 8 are in use: 8, 12 or 16; None for any other image.

    Cameras store 12 bits in 16, and nothing in the file says so. The largest value of an image therefore decides: up to
    255, 8 bits; up to 4095, 12 bits.
    """
    with opened(data, name) as image:
        return _bits_in_use(image, np.asarray(image)) if image.mode.startswith("I") else None


def upright_size(path: Path) -> tuple[tuple[int, int], bool]:
    """Return height and width once the image is upright, and whether it is turned for that, from the header alone.

    Raises:
        UnreadableImage: it is missing or no image.
    """
    with opened(path, valid_text(str(path))) as image:
        sideways = _orientation(image) in _EXIF_SIDEWAYS
        return ((image.width, image.height) if sideways else (image.height, image.width)), sideways


def stored_format(data: bytes, name: str) -> str:
    """Return PIL's name of the format, such as `"JPEG"`, from the header alone."""
    with opened(data, name) as image:
        assert image.format is not None  # None only for images that come from no file
        return image.format


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(valid_text(str(path)), error.strerror or str(error)) from error


@contextmanager
def opened(file: bytes | Path, name: str) -> Iterator[Image.Image]:
    """Open an image, bytes or a file, and read its header; whatever goes wrong with it is an `UnreadableImage`."""
    try:
        with _open(file) as image:
            most = _most_megapixels()
            if image.width * image.height > most * 1e6:
                megapixels = math.ceil(image.width * image.height / 1e6)
                raise ValueError(
                    f"it has {image.height} x {image.width} pixels, and an image above {most:g} megapixels may be "
                    f"a decompression bomb; make it smaller, or set MODERNET_MAX_MEGAPIXELS={megapixels}"
                )
            yield image
    except InputError:
        raise
    except Exception as error:  # on damaged bytes, codecs raise anything from SyntaxError to struct.error
        raise UnreadableImage(name, _reason(error, file)) from error


def _open(file: bytes | Path) -> Image.Image:
    """Open an image without PIL's limit on its size, which is a global, and warns in several lines."""
    with _opening:
        limit, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(io.BytesIO(file) if isinstance(file, bytes) else file)
        finally:
            Image.MAX_IMAGE_PIXELS = limit


def _most_megapixels() -> float:
    """Return how large an image may be: `$MODERNET_MAX_MEGAPIXELS`, or 256.

    Raises:
        InputError: it is not a positive number.
    """
    given = os.environ.get("MODERNET_MAX_MEGAPIXELS", str(_MOST_MEGAPIXELS))
    try:
        megapixels = float(given)
    except ValueError:
        megapixels = 0.0
    if not megapixels > 0:
        raise InputError(f"MODERNET_MAX_MEGAPIXELS is {given!r}; give the size of the largest image, such as 1000")
    return megapixels


def _shrink(box: Box, size: Size) -> int:
    """Return the factor by which a JPEG may be decoded smaller."""
    room = min(box.height / (_SURPLUS * size[0]), box.width / (_SURPLUS * size[1]))
    return next((shrink for shrink in _SHRINKS if shrink <= room), 1)


def _orientation(image: Image.Image) -> int:
    return int(image.getexif().get(_EXIF_ORIENTATION, _EXIF_UPRIGHT))


def _upright(image: Image.Image) -> Image.Image:
    """Return an image as RGB and upright; PIL's transpose would copy even what is upright."""
    return _to_rgb(image if _orientation(image) == _EXIF_UPRIGHT else ImageOps.exif_transpose(image))


def _pixels(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)  # h w c -> c h w


def _is_plain_jpeg(image: Image.Image) -> bool:
    return image.format == "JPEG" and image.mode in ("RGB", "L")


def _decoded(image: Image.Image, data: bytes) -> Tensor:
    """Decode the whole image, upright."""
    if _is_plain_jpeg(image) and _orientation(image) == _EXIF_UPRIGHT:
        with suppress(ValueError):  # PIL repairs it, or says what is wrong
            return torch.from_numpy(simplejpeg.decode_jpeg(data)).permute(2, 0, 1)  # the same bytes, in less time
    return _pixels(_upright(image))


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I"):  # grey of more than 8 bits; PIL's own conversion would clip it at 255
        grey = np.asarray(image)
        image = Image.fromarray((grey >> (_bits_in_use(image, grey) - 8)).astype(np.uint8))
    if image.mode == "F":
        raise ValueError("its pixels are floating-point numbers; save it with 8 or 16 bits a channel")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")


def _bits_in_use(image: Image.Image, grey: NDArray[np.integer[Any]]) -> int:
    """Return how many bits the pixels of an image take, as `grey_bits` does."""
    low, high = int(grey.min()), int(grey.max())
    if low < 0 or high >= 2**16:
        raise ValueError(
            f"its pixels are integers from {low} to {high}, and their range is unknown; save it with 8 or 16 bits a "
            "channel"
        )
    if image.format == "PPM":  # PIL has scaled its values to 16 bits
        return 16
    return next(bits for bits in (8, 12, 16) if high < 2**bits)


def _reason(error: Exception, file: bytes | Path) -> str:
    if isinstance(error, UnidentifiedImageError):
        empty = not (file if isinstance(file, bytes) else file.stat().st_size)
        return "the file is empty" if empty else "it is not an image, or of a format that is not supported"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return one_line(error)
