"""Views: which part of an image a network sees, at which size, mirrored or not.

A view is drawn first, as a value. The image is decoded by it, and everything that has a place in the image (boxes,
masks, semantic maps) is mapped by the same value, so that targets cannot come apart from pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from modernet.preparation import ImageSize, Interpolation, Size, as_size

IGNORE = 255  # value of a semantic map where nothing is known, as in Pascal VOC, ADE20K and Cityscapes
_LONGEST = 4  # times the longer side of what is covered
_PADDING = 128  # grey level of what a view shows beyond the image's border


class Box(NamedTuple):
    """A rectangle of whole pixels."""

    top: int
    left: int
    height: int
    width: int


@dataclass(frozen=True)
class View:
    """A box of an image, scaled to `size`, then mirrored if `flipped`.

    Attributes:
        box: in pixels of the upright image. It may reach beyond the border: grey then takes the place of pixels, and
            `IGNORE` that of semantic classes.
        size: height and width of the result.
        flipped: left and right are exchanged, after scaling.
    """

    box: Box
    size: Size
    flipped: bool = False

    def show(self, image: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
        """Cut the box out of an image and scale it.

        Args:
            image: uint8 (3, h, w).

        Returns:
            uint8 (3, *size); memory of `image` where nothing is to be done.
        """
        h, w = image.shape[-2:]
        return self.render(h, w, lambda box, size: cut(image, box, size, interpolation))

    def render(self, h: int, w: int, scale: Callable[[Box, Size], Tensor]) -> Tensor:
        """Make the view of an image of h x w from the part within its border; pad the rest, and mirror.

        Args:
            scale: a box within the border, and the size to scale it to -> uint8 (3, *size).

        Returns:
            uint8 (3, *size)
        """
        (top, left, height, width), size = self.box, self.size
        rows, columns = _overlap(top, height, h, size[0]), _overlap(left, width, w, size[1])
        if rows is None or columns is None:
            return _padding(size)
        pixels = scale(Box(rows.start, columns.start, rows.length, columns.length), (rows.shown, columns.shown))
        if pixels.shape[1:] != size:
            canvas = _padding(size)
            canvas[:, rows.first : rows.first + rows.shown, columns.first : columns.first + columns.shown] = pixels
            pixels = canvas
        return pixels.flip(-1) if self.flipped else pixels

    def map_boxes(self, boxes_xyxy: Tensor) -> Tensor:
        """Map boxes to where their content appears, cut off at the border of the view.

        Args:
            boxes_xyxy: float32 (n, 4), in pixels of the image.

        Returns:
            float32 (n, 4), in pixels of the view; without area for a box that is not in it.
        """
        (top, left, height, width), (h, w) = self.box, self.size
        x = ((boxes_xyxy[:, 0::2] - left) * (w / width)).clamp(0, w)
        y = ((boxes_xyxy[:, 1::2] - top) * (h / height)).clamp(0, h)
        if self.flipped:
            x = (w - x).flip(1)
        return torch.stack((x, y), 2).flatten(1)

    def map_semantic(self, semantic: Tensor, outside: int = IGNORE) -> Tensor:
        """Map a semantic map, each pixel taking the class of the nearest one.

        Args:
            semantic: (..., h, w), integers.
            outside: the value beyond the image's border.

        Returns:
            (..., *size), of the same type.
        """
        rows = _nearest(self.box.top, self.box.height, self.size[0])
        columns = _nearest(self.box.left, self.box.width, self.size[1])
        if self.flipped:
            columns = columns.flip(0)
        return _pick(semantic, rows, columns, outside)

    def map_mask(self, window: Box, mask: Tensor) -> tuple[Box, Tensor]:
        """Map the mask of one object, each pixel taking the value of the nearest one, and cut it to a window.

        Args:
            window: of the image, outside of which the mask has nothing.
            mask: within the window, bool (height, width).

        Returns:
            The window in pixels of the view, with a pixel around the object on each side that is not at the border of
            the view; and the mask within it, bool (height, width). Both are empty where nothing of it is seen.
        """
        rows = _nearest(self.box.top, self.box.height, self.size[0])
        columns = _nearest(self.box.left, self.box.width, self.size[1])
        if self.flipped:
            columns = columns.flip(0)
        rows, columns = rows - window.top, columns - window.left
        down, right = _part_seen(window.height, rows), _part_seen(window.width, columns)
        if down is None or right is None:
            return Box(0, 0, 0, 0), mask[:0, :0]
        part = _pick(mask, rows[down], columns[right], outside=0)
        return Box(down.start, right.start, *part.shape), part


ChooseView = Callable[[int, int], View]
"""Height and width of an upright image -> the view of it."""


def central_view(h: int, w: int, size: Size, crop: float = 1.0) -> View:
    """Return the centre of an image in the shape of `size`: `crop` of the largest such box that fits in it."""
    shape_h, shape_w = size
    wide = w * shape_h > h * shape_w  # wider than the view, so that the height is what limits it
    height, width = (h, h * shape_w / shape_h) if wide else (w * shape_h / shape_w, w)
    height, width = max(round(crop * height), 1), max(round(crop * width), 1)
    return View(Box((h - height) // 2, (w - width) // 2, height, width), size)


def covering_scale(image: Size, size: Size) -> float:
    """Return the factor by which an image just covers `size`; beyond 4:1 its longer side limits it, as in OpenMMLab."""
    (h, w), (height, width) = image, size
    return min(max(height / h, width / w), _LONGEST * max(size) / max(image))


def cut(image: Tensor, box: Box, size: Size, interpolation: Interpolation = "bilinear") -> Tensor:
    """Scale a box of an image to `size`, with antialiasing unless the interpolation is OpenCV's.

    Args:
        image: uint8 (3, h, w), which holds all of the box.

    Returns:
        uint8 (3, *size); memory of the image where nothing is to be scaled.
    """
    part = image[:, box.top : box.top + box.height, box.left : box.left + box.width]
    if part.shape[1:] == size:
        return part
    # scaling channels-last memory without gaps is nearly twice as fast, and its result is channels last as well
    part = part[None].contiguous(memory_format=torch.channels_last)
    if interpolation == "opencv":  # in float32, since torch rounds bytes on the way
        scaled = F.interpolate(part.float(), size=size, mode="bilinear", align_corners=False)
        return scaled.round_().to(torch.uint8)[0]
    return F.interpolate(part, size=size, mode=interpolation, antialias=True)[0]


def fit_image(
    image: Tensor, image_size: ImageSize, *, crop: float = 1.0, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Scale an image so that it just covers `image_size / crop`, and keep the centre.

    The centre is cut first and then scaled with antialiasing: the same image up to rounding at its border, and a
    panorama of 1 x 10,000 pixels does not become one of 224 x 2,240,000 on the way.

    Args:
        image: uint8 (3, h, w).
        image_size: side of a square, or height and width, each at least 2.
        crop: share of the covering image that is kept, along each side.

    Returns:
        uint8 (3, *image_size); the image itself where nothing is to be done.
    """
    h, w = image.shape[-2:]
    return central_view(h, w, as_size(image_size), crop).show(image, interpolation)


def _padding(size: Size) -> Tensor:
    return torch.full((*size, 3), _PADDING, dtype=torch.uint8).permute(2, 0, 1)  # h w c -> c h w, channels last


class _Overlap(NamedTuple):
    """Along one axis, the part of a view that is within the image."""

    start: int
    """In the image."""
    length: int
    first: int
    """In the result."""
    shown: int
    """Length in the result."""


def _overlap(start: int, length: int, n: int, size: int) -> _Overlap | None:
    """Cut `start ... start + length`, shown as `size` pixels, off at 0 and n; None if nothing is left."""
    if start >= 0 and start + length <= n:
        return _Overlap(start, length, 0, size)
    low, high = max(start, 0), min(start + length, n)
    if low >= high:
        return None
    first, last = (round((edge - start) * size / length) for edge in (low, high))
    first = min(first, size - 1)
    return _Overlap(low, high - low, first, max(last - first, 1))


def _pick(maps: Tensor, rows: Tensor, columns: Tensor, outside: int) -> Tensor:
    """Return (..., rows, columns) of maps (..., h, w), and another value for those beyond the border."""
    h, w = maps.shape[-2:]
    # one axis after the other: an index for every pixel takes several times as long
    picked = maps.index_select(-2, rows.clamp(0, h - 1)).index_select(-1, columns.clamp(0, w - 1))
    known_rows, known_columns = (rows >= 0) & (rows < h), (columns >= 0) & (columns < w)
    if known_rows.all() and known_columns.all():
        return picked
    return picked.masked_fill(~(known_rows[:, None] & known_columns), outside)


def _part_seen(length: int, origins: Tensor) -> slice | None:
    """Return which part of a view shows a window, with a margin of one; None if none does.

    Args:
        length: rows of the window.
        origins: the row of the window that each row of the view shows; it may be outside.
    """
    shown = ((origins >= 0) & (origins < length)).nonzero()[:, 0]
    if not len(shown):
        return None
    return slice(max(int(shown[0]) - 1, 0), min(int(shown[-1]) + 2, len(origins)))


def _nearest(start: int, length: int, size: int) -> Tensor:
    """Return the pixel under the centre of each pixel of the result, int64 (size,); some may be outside."""
    return torch.from_numpy(np.floor(start + length * (np.arange(size) + 0.5) / size).astype(np.int64))
