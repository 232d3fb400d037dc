"""From the small mask of a box to pixels of the image, and to run lengths."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import torch
from faster_coco_eval.core import mask as coco_mask
from torch import Tensor
from torch.nn import functional as F

from modernet.data.images.rle import Rle
from modernet.preparation import Size

_COLUMNS = 64  # interpolated at once: they stay in the cache, and the memory does not grow with the image


class Window(NamedTuple):
    """The part of an image that a mask may touch; outside of it there is nothing of the object."""

    pixels: Tensor
    """bool (h, w), stored column by column."""
    top: int
    left: int


def paste_window(mask: Tensor, box: Tensor, size: Size) -> Window:
    """Return which pixels around a box belong to the object.

    The mask is interpolated between the centers of its positions, taken as zero outside of the box, at the centers of
    the pixels; a pixel belongs to the object from a probability of 0.5. The window has a pixel more than the box on
    each side, within the image; a box that is empty or outside of the image has an empty one.

    Args:
        mask: (s, s), probabilities.
        box: (4,), xyxy in pixels; may reach over the border of the image.
        size: height and width of the image.
    """
    height, width = size
    left, top, right, bottom = box.tolist()
    columns, rows = _window(left, right, width), _window(top, bottom, height)
    pixels = torch.zeros(len(columns), len(rows), dtype=torch.bool, device=mask.device)  # w h
    if pixels.numel():
        padded = F.pad(mask.T, (1, 1, 1, 1))  # x y, with zeros around
        y, down = _positions(rows, top, bottom, mask)
        stretched = padded[:, y].lerp(padded[:, y + 1], down)  # x h
        x, across = _positions(columns, left, right, mask)
        for start in range(0, len(columns), _COLUMNS):
            part = slice(start, start + _COLUMNS)
            first, second = stretched[x[part]], stretched[x[part] + 1]
            pixels[part] = first.lerp(second, across[part, None]) >= 0.5
    return Window(pixels.T, rows.start, columns.start)


def paste(mask: Tensor, box: Tensor, size: Size) -> Tensor:
    """Return which pixels of an image belong to an object, bool (h, w); see `paste_window`."""
    pixels, top, left = paste_window(mask, box, size)
    whole = torch.zeros(size, dtype=torch.bool, device=mask.device)
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return whole


def encode_window(window: Window, size: Size) -> Rle:
    """Compress a mask that is empty outside of a window; the mask of the whole image need not be in memory.

    Args:
        window: where the object may be.
        size: height and width of the image.
    """
    columns = window.pixels.T.cpu().numpy()  # w h
    w, h = columns.shape
    framed = np.zeros((w, h + 2), dtype=bool)
    framed[:, 1:-1] = columns
    column, row = np.divmod(np.flatnonzero(framed[:, 1:] != framed[:, :-1]), h + 1)
    borders = (window.left + column) * size[0] + window.top + row  # where runs begin and end, in turns
    between = borders[1:-1].reshape(-1, 2)  # the end of a run, and where the next begins
    between = between[between[:, 0] < between[:, 1]]  # else it goes on at the top of the next column
    lengths = np.diff(np.concatenate((borders[:1], between.ravel(), borders[-1:], [size[0] * size[1]])), prepend=0)
    runs = lengths.tolist() if lengths[-1] else lengths[:-1].tolist()
    rle: Rle = coco_mask.frPyObjects({"size": list(size), "counts": runs}, *size)
    return rle


def _window(first: float, last: float, side: int) -> range:
    """Return the pixels along one axis that a box may touch."""
    if not last > first:
        return range(0)
    return range(max(math.floor(first) - 1, 0), min(math.ceil(last) + 1, side))


def _positions(pixels: range, first: float, last: float, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Return the positions of the padded mask before the centers of pixels, and the share of the way to the next."""
    side = len(mask)
    centers = torch.arange(pixels.start, pixels.stop, device=mask.device, dtype=mask.dtype) + 0.5
    place = ((centers - first) / (last - first) * side + 0.5).clamp(0, side + 1)
    before = place.floor().clamp(max=side)
    return before.long(), place - before
