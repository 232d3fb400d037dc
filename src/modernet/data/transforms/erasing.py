"""Random erasing and cutout of whole batches on their device.

Rectangles are drawn on the CPU, from a generator that the caller seeds; the noise in them is drawn on the device.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.transforms.random_crops import random_shapes
from modernet.preparation import Size
from modernet.recipes import Augmentation

_AREAS, _RATIOS = (0.02, 1 / 3), (0.3, 1 / 0.3)  # Zhong et al. 2017, section 4, as in timm

Ints = NDArray[np.int64]


def erase(images: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """Erase and cut out, in place, whichever of them is on.

    Args:
        images: float32 (b, 3, h, w), normalised: noise has mean 0 and deviation 1, and blank is the mean colour.
    """
    b, (h, w) = len(images), images.shape[-2:]
    if augmentation.erasing > 0:
        chosen = np.flatnonzero(rng.random(b) < augmentation.erasing)
        top, left, height, width = erasing_rectangles(len(chosen), (h, w), rng).T
        noise_source = torch.Generator(images.device).manual_seed(int(rng.integers(2**62)))
        where = torch.from_numpy(chosen).to(images.device)
        part = images[where]
        noise = torch.empty_like(part).normal_(generator=noise_source)
        images[where] = torch.where(inside(top, left, height, width, (h, w), images.device), noise, part)
    square = round(augmentation.cutout * min(h, w))
    if square > 0:
        # anywhere, so that the square may hang over the border, as in the paper
        top, left = (rng.integers(0, side, b) - square // 2 for side in (h, w))
        extent = np.full(b, square)
        images.masked_fill_(inside(top, left, extent, extent, (h, w), images.device), 0.0)
    return images


def erasing_rectangles(n: int, size: Size, rng: np.random.Generator) -> Ints:
    """Draw rectangles of random erasing as timm does: area uniform from 2 to 33 %, shape log-uniform from 3:10 to 10:3,
    place uniform; the first of ten draws that fits.

    Args:
        size: height and width of the images.

    Returns:
        (n, 4), top, left, height and width in pixels; height and width are 0 where none fits.
    """
    h, w = size
    height, width = (np.rint(sides) for sides in random_shapes(n, _AREAS, _RATIOS, rng, h * w))
    fits: NDArray[np.bool_] = (height < h) & (width < w)
    first = np.arange(n), fits.argmax(1)
    extent = np.stack((height[first], width[first]), 1) * fits.any(1, keepdims=True)
    corner = rng.integers(0, np.array(size) - extent.astype(np.int64) + 1)
    return np.concatenate((corner, extent.astype(np.int64)), 1)


def inside(
    top: NDArray[np.generic],
    left: NDArray[np.generic],
    height: NDArray[np.generic],
    width: NDArray[np.generic],
    size: Size,
    device: torch.device,
) -> Tensor:
    """Mark the pixels of a rectangle in each image; what extends beyond the border is cut off.

    Args:
        top, left, height, width: (b,) in pixels.

    Returns:
        bool (b, 1, h, w)
    """
    corners = np.stack((top, left, height, width), 1).astype(np.int64)
    y0, x0, h, w = torch.from_numpy(corners).to(device)[:, :, None].unbind(1)  # b 1 each
    row, column = (torch.arange(side, device=device) for side in size)
    rows = (row >= y0) & (row < y0 + h)
    columns = (column >= x0) & (column < x0 + w)
    return (rows[:, :, None] & columns[:, None, :])[:, None]
