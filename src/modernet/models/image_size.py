"""Checks of the size of the images, for networks that do not take every size."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.errors import InputError


def of_size(images: Tensor, side: int, multiple: int) -> Tensor:
    """Return images `(b, c, side, side)` as they are.

    Args:
        images: the input of a network.
        side: height and width that the network takes, in pixels.
        multiple: of which its config takes any other side.

    Raises:
        InputError: the images have another size.
    """
    return _of_size(images, side, multiple)


def at_least(images: Tensor, side: int) -> Tensor:
    """Return images `(b, c, h, w)` as they are.

    Raises:
        InputError: their height or width is below `side` pixels.
    """
    return _at_least(images, side)


# leaf functions of torch.fx: the conditions depend on the shape, which is not known when it traces a network


@torch.fx.wrap
def _of_size(images: Tensor, side: int, multiple: int) -> Tensor:
    height, width = images.shape[2:]
    if (height, width) != (side, side):
        raise InputError(
            f"images are {height}x{width}; this network takes {side}x{side}: resize them, or create it with another "
            f"image_size (a multiple of {multiple})"
        )
    return images


@torch.fx.wrap
def _at_least(images: Tensor, side: int) -> Tensor:
    height, width = images.shape[2:]
    if height < side or width < side:
        raise InputError(f"images are {height}x{width}; this network needs at least {side}x{side}: resize them")
    return images
