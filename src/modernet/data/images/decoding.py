"""The bytes of an image file -> RGB pixels, all of them or a view."""

from __future__ import annotations

import io
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import simplejpeg
import torch
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
        return UnreadableImage, (self.name, self.reason)  # it is pickled on the way out of a worker process


def skippable(error: UnreadableImage) -> InputError:
    """Return the error for an image that stops a run, with what can be done about it."""
    return InputError(
        f"{error}; repair it, remove it, or skip such images with skip_unreadable=True (--skip-unreadable)"
    )


def read_image(path: str | os.PathLike[str]) -> Tensor:
    """Read one image as RGB, uint8 (3, h, w), turned upright by its EXIF orientation.

    Grey images are repeated to three channels, palettes are looked up, CMYK and YCbCr are converted; transparent images
    are composited on white; 16-bit grey keeps its upper eight bits; animations give their first frame.

    Raises:
        UnreadableImage: the file is missing, truncated, not an image, or has floating-point pixels, whose range is
            unknown.
    """
    return decode_image(_content(Path(path)), valid_text(str(path)))


def decode_image(data: bytes, name: str) -> Tensor:
    """Decode the bytes of a file, as `read_image` does; `name` is its name in errors."""
    with _opened(data, name) as image:
        return _decoded(image, data)


def decode_view(
    data: bytes, name: str, choose: ChooseView, interpolation: Interpolation = "bilinear"
) -> tuple[Tensor, View]:
    """Decode a view of the bytes of a file, as `Images.read_view` does; `name` is its name in errors."""
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
    part = small.crop((x, y, math.ceil(right), math.ceil(bottom)))  # or its surroundings would be mixed in
    fractions = (left - x, top - y, right - x, bottom - y)
    return _pixels(part.resize((size[1], size[0]), _FILTERS[interpolation], box=fractions))


def stored_size(data: bytes, name: str) -> tuple[int, int]:
    """Return height and width as stored, before any orientation, from the header alone."""
    with _opened(data, name) as image:
        w, h = image.size
        return h, w


def stored_format(data: bytes, name: str) -> str:
    """Return PIL's name of the format, such as `"JPEG"`, from the header alone."""
    with _opened(data, name) as image:
        assert image.format is not None  # None only for images that come from no file
        return image.format


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UnreadableImage(valid_text(str(path)), error.strerror or str(error)) from error


@contextmanager
def _opened(data: bytes, name: str) -> Iterator[Image.Image]:
    """Open an image and read its header; whatever goes wrong with it is an `UnreadableImage`."""
    try:
        with Image.open(io.BytesIO(data)) as image:
            yield image
    except Exception as error:  # on damaged bytes, codecs raise anything from SyntaxError to struct.error
        raise UnreadableImage(name, _reason(error, data)) from error


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
