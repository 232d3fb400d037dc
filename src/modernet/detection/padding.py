"""Batches of images of different sizes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from modernet.preparation import Size

MULTIPLE = 32
"""Pixels; the sides of what the network sees are multiples of it."""


def pad_images(images: Sequence[Tensor]) -> tuple[Tensor, list[Size]]:
    """Put images into one batch, padded at the right and the bottom with zeros to the largest height and width.

    Args:
        images: one or more `(c, h, w)`, normalised: zero is then the mean color.

    Returns:
        The batch `(b, c, h, w)`, with sides that are multiples of 32, and the height and width of each image.
    """
    sizes: list[Size] = [(image.shape[1], image.shape[2]) for image in images]
    height, width = padded_size((max(height for height, _ in sizes), max(width for _, width in sizes)))
    batch = images[0].new_zeros(len(images), images[0].shape[0], height, width)
    for place, image, (height, width) in zip(batch, images, sizes, strict=True):
        place[:, :height, :width] = image
    return batch, sizes


def padded_size(size: Size) -> Size:
    """Return height and width rounded up to multiples of 32."""
    height, width = (-(-side // MULTIPLE) * MULTIPLE for side in size)
    return height, width


def to_size(images: Tensor, size: Size) -> Tensor:
    """Return images `(b, c, h, w)` cut at the right and the bottom, or padded there with zeros, to a size."""
    height, width = size
    images = images[:, :, :height, :width]
    if images.shape[2:] == size:
        return images
    return torch.nn.functional.pad(images, (0, width - images.shape[3], 0, height - images.shape[2]))
