"""Linear filters of batches of images, as scipy and ImageMagick define them."""

from __future__ import annotations

import math
from collections import defaultdict
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

_BLOCK = 64  # rows of a banded matrix that are multiplied at once

Banded = tuple[tuple[slice, Tensor], ...]
"""A matrix with a narrow band: for each `_BLOCK` rows of it, the columns that are not zero, and their values."""


def parts(images: Tensor) -> tuple[Tensor, ...]:
    """Divide a batch, (b, ...), into what is computed at once.

    On a CPU it is one image: it stays in the cache of a core, and its values cannot depend on the rest of the batch. On
    other devices it is the batch.
    """
    return images.chunk(len(images) if images.device.type == "cpu" else 1)


def product_dtype(dtype: torch.dtype, device: torch.device) -> torch.dtype:
    """Return the dtype in which to multiply matrices: on a GPU it is float64, which TF32 does not round."""
    return dtype if device.type == "cpu" else torch.float64


def banded(matrix: NDArray[np.float64], dtype: torch.dtype) -> Banded:
    """Return a matrix in the form that `separable` takes."""
    blocks = []
    for start in range(0, len(matrix), _BLOCK):
        rows = matrix[start : start + _BLOCK]
        used = np.flatnonzero(rows.any(0))
        columns = slice(int(used[0]), int(used[-1]) + 1) if used.size else slice(0, 1)
        blocks.append((columns, torch.from_numpy(rows[:, columns].copy()).to(dtype)))
    return tuple(blocks)


def separable(images: Tensor, down: Banded, across: Banded) -> Tensor:
    """Filter images along both sides.

    Args:
        images: float (b, c, h, w)
        down: the matrix that makes filtered columns of columns, (h, h), of the dtype of the images.
        across: that of the rows, (w, w).

    Returns:
        (b, c, h, w), `down @ image @ across.T`
    """
    dtype = product_dtype(images.dtype, images.device)
    rows, columns = ([(used, block.to(images.device, dtype)) for used, block in matrix] for matrix in (across, down))
    filtered = []
    for part in parts(images.contiguous()):
        part = part.to(dtype)
        part = torch.cat([part[..., used] @ block.T for used, block in rows], -1)
        filtered.append(torch.cat([block @ part[..., used, :] for used, block in columns], -2))
    return torch.cat(filtered).to(images.dtype)


def gaussian_filter(
    images: Tensor, sigma: float, mode: Literal["nearest", "reflect"] = "nearest", truncate: float = 4.0
) -> Tensor:
    """Blur as `scipy.ndimage.gaussian_filter` does, along height and width.

    A linear filter of one axis is a matrix, and scipy's answer to the identity is that matrix, borders included.

    Args:
        images: float (b, c, h, w)
        sigma: in pixels; 0 changes nothing.
        mode: beyond the border, `"nearest"` repeats the last pixel, `"reflect"` mirrors about its outer edge.
        truncate: where the kernel ends, in sigmas.

    Returns:
        (b, c, h, w), of the same dtype
    """
    down, across = (_gaussian(side, sigma, mode, truncate, images.dtype) for side in images.shape[-2:])
    return separable(images, down, across)


@lru_cache(maxsize=64)
def _gaussian(side: int, sigma: float, mode: str, truncate: float, dtype: torch.dtype) -> Banded:
    from scipy import ndimage

    return banded(ndimage.gaussian_filter(np.eye(side), (sigma, 0), mode=mode, truncate=truncate), dtype)


def motion_blurred(images: Tensor, radius: int, sigma: float, angles: Tensor) -> Tensor:
    """Blur along a line from each pixel, as ImageMagick's `motion_blur` does with 16 bits a channel.

    A pixel becomes the mean of the pixels that are ceil(i sin(angle) - 1/2) rows and ceil(i cos(angle) - 1/2) columns
    from it, for i of 0 to 2 `radius`, weighed by exp(-i² / 2 `sigma`²). Borders are repeated. The mean is rounded to 16
    bits, 257 steps a grey level, and then truncated to 8.

    Args:
        images: uint8 or float in grey levels, (b, c, h, w)
        radius: half the length of the line, whose first pixel is the one that is computed.
        sigma: in pixels.
        angles: of the lines, in degrees, (b,); 0 goes to the right, 90 down.

    Returns:
        uint8 (b, c, h, w)
    """
    h, w = images.shape[-2:]
    weights = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    blurred = []
    for image, angle in zip(images.chunk(len(images)), angles.deg2rad().tolist(), strict=True):
        taps: dict[tuple[int, int], float] = defaultdict(float)
        for i, weight in enumerate(weights.tolist()):
            taps[math.ceil(i * math.sin(angle) - 0.5), math.ceil(i * math.cos(angle) - 0.5)] += weight
        downs, rights = zip(*taps, strict=True)
        above, left = -min(downs), -min(rights)
        padded = functional.pad(image.float(), (left, max(rights), above, max(downs)), mode="replicate")
        total = torch.full(image.shape, 0.5 / 257, device=image.device)  # rounds to 16 bits when it is truncated to 8
        for (down, right), weight in taps.items():
            total.add_(padded[..., above + down :, left + right :][..., :h, :w], alpha=weight)
        blurred.append(total.to(torch.uint8))
    return torch.cat(blurred)
