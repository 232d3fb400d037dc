"""From the small mask of a box to pixels of the image."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.preparation import Size


def paste(mask: Tensor, box: Tensor, size: Size) -> Tensor:
    """Return which pixels of an image belong to an object, bool (h, w).

    The mask is interpolated between the centers of its positions, taken as zero outside of the box, at the centers of
    the pixels; a pixel belongs to the object from a probability of 0.5. Only pixels around the box are computed.

    Args:
        mask: (s, s), probabilities.
        box: (4,), xyxy in pixels; may reach over the border of the image.
        size: height and width of the image.
    """
    height, width = size
    left, top, right, bottom = box.tolist()
    columns = _window(left, right, width)
    rows = _window(top, bottom, height)
    whole = torch.zeros(size, dtype=torch.bool, device=mask.device)
    if len(rows) and len(columns):
        x = _position(columns, left, right, mask)
        y = _position(rows, top, bottom, mask)
        grid = torch.stack((x.expand(len(y), -1), y[:, None].expand(-1, len(x))), -1)  # h w 2
        values = F.grid_sample(mask[None, None], grid[None], mode="bilinear", align_corners=False)[0, 0]
        whole[rows.start : rows.stop, columns.start : columns.stop] = values >= 0.5
    return whole


def _window(first: float, last: float, side: int) -> range:
    """Return the pixels along one axis that a box may touch."""
    if not last > first:
        return range(0)
    return range(max(math.floor(first) - 1, 0), min(math.ceil(last) + 1, side))


def _position(pixels: range, first: float, last: float, like: Tensor) -> Tensor:
    """Return where the centers of pixels are within a box, from -1 to 1."""
    centers = torch.arange(pixels.start, pixels.stop, device=like.device, dtype=like.dtype) + 0.5
    return (centers - first) / (last - first) * 2 - 1
