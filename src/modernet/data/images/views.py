"""An image of any shape -> the square that a network is shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

Interpolation = Literal["bilinear", "bicubic"]


class Box(NamedTuple):
    """A part of an image, in its pixels."""

    top: int
    left: int
    height: int
    width: int


ChooseBox = Callable[[int, int], Box]
"""Height and width of an upright image -> what is shown of it."""


def central_box(h: int, w: int, crop: float = 1.0) -> Box:
    """The square in the centre whose side is `crop` of the image's shorter side."""
    side = max(round(crop * min(h, w)), 1)
    return Box((h - side) // 2, (w - side) // 2, side, side)


def cut(image: Tensor, box: Box, image_size: int, interpolation: Interpolation = "bilinear") -> Tensor:
    """Scale a box of an image to a square, with antialiasing.

    Args:
        image: uint8 (3, h, w).

    Returns:
        uint8 (3, image_size, image_size); a view of the image where nothing is to be scaled.
    """
    part = image[:, box.top : box.top + box.height, box.left : box.left + box.width]
    if part.shape[1:] == (image_size, image_size):
        return part
    # channels last and without gaps, the scaling is nearly twice as fast, and its result is channels last as well
    part = part[None].contiguous(memory_format=torch.channels_last)
    return F.interpolate(part, size=(image_size, image_size), mode=interpolation, antialias=True)[0]


def fit_image(
    image: Tensor, image_size: int, *, crop: float = 1.0, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Scale an image so that its shorter side is `image_size / crop`, and keep the square in its centre.

    The square is cut first and then scaled with antialiasing: the same image up to rounding at its border, and a
    panorama of 1 x 10,000 pixels does not become one of 224 x 2,240,000 on the way.

    Args:
        image: uint8 (3, h, w).
        image_size: at least 2.
        crop: side of the square, relative to the shorter side.

    Returns:
        uint8 (3, image_size, image_size); the image itself where nothing is to be done.
    """
    h, w = image.shape[-2:]
    return cut(image, central_box(h, w, crop), image_size, interpolation)
