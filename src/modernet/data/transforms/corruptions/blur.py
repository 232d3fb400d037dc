"""The blurs of ImageNet-C (Hendrycks and Dietterich 2019).

Blurred values are truncated to whole grey levels. So in a flat area, where a blur changes nothing but the last bit of
the float, that bit decides between the grey level and the one below. It decides here as it does in the published code.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.corruption import CORRUPTIONS, Corruption
from modernet.data.transforms.corruptions.filters import (
    Banded,
    banded,
    gaussian_filter,
    motion_blurred,
    parts,
    separable,
)

_NUDGE = {torch.float32: 2**-13, torch.float64: 2**-38}  # grey levels, above the rounding of filters of this type


def defocus_blur(images: Tensor, chance: ImageChance, radius: float, alias_sigma: float) -> Tensor:
    """Convolve with `disc`, by Fourier transforms; the border is mirrored about the last pixel."""
    from scipy.fft import next_fast_len

    kernel = disc(radius, alias_sigma)
    reach = len(kernel) // 2
    dtype = torch.float64 if radius < 3 else torch.float32
    levels = _nudged(np.arange(256) * kernel.sum(dtype=float), dtype).to(images.device)
    sides = images.shape[-2:]
    mirrored = (torch.from_numpy(np.pad(np.arange(side), reach, mode="reflect")) for side in sides)
    rows, columns = (indices.to(images.device) for indices in mirrored)
    fast = [next_fast_len(side + 2 * reach, real=True) for side in sides]
    spectrum = torch.fft.rfft2(torch.from_numpy(kernel).to(images.device, dtype), s=fast)
    blurred = []
    for part in parts(images):
        padded = _valued(part, levels).index_select(-2, rows).index_select(-1, columns)
        total = torch.fft.irfft2(torch.fft.rfft2(padded, s=fast) * spectrum, s=fast)
        blurred.append(total[..., 2 * reach : 2 * reach + sides[0], 2 * reach : 2 * reach + sides[1]])
    return torch.cat(blurred)


@lru_cache(maxsize=32)
def disc(radius: float, alias_sigma: float) -> NDArray[np.float32]:
    """Return the kernel of `defocus_blur`, with an odd number of rows and columns.

    The disc is drawn on a grid of 17 x 17 and blurred with 3 x 3 taps of a Gaussian; above radius 8 the grid is as
    large as the disc, and the taps are 5 x 5. The sum is 1 before, and as published it is not normalised again: discs
    that reach the edge of their grid brighten the image, by 1.3 % at radius 8 and 1.1 % at 10. Discs of a radius below
    1 are one pixel and its blur.
    """
    edge, reach = (8, 1) if radius <= 8 else (int(radius), 2)
    line = np.arange(-edge, edge + 1)
    kernel = (line**2 + line[:, None] ** 2 <= radius**2).astype(np.float32)
    kernel /= kernel.sum()
    gauss = np.exp(-(np.arange(reach + 1) ** 2) / (2 * alias_sigma**2))
    gauss = (gauss / (2 * gauss.sum() - 1)).astype(np.float32)
    for _ in range(2):  # along the rows, then along the columns
        padded, side = np.pad(kernel, ((0, 0), (reach, reach)), mode="reflect"), len(kernel)
        kernel = kernel * gauss[0]
        for offset in range(1, reach + 1):
            pair = padded[:, reach - offset :][:, :side] + padded[:, reach + offset :][:, :side]
            # OpenCV's fused multiply-add: its rounding decides whether the sum is above or below 1
            kernel = (pair.astype(float) * gauss[offset] + kernel).astype(np.float32)
        kernel = kernel.T
    return kernel


def glass_blur(images: Tensor, chance: ImageChance, sigma: float, reach: int, iterations: int) -> Tensor:
    """Blur, move pixels at random, and blur again.

    In each iteration every pixel in turn, from the last to the first, takes the colour of one up to `reach` rows and
    columns away. The published code means to swap the two, but assigns views of one array, so it copies; and it draws
    from -`reach` to `reach` - 1. Of a side of n pixels those from n - `reach` down to `reach` + 1 take part, so images
    with a side of 2 `reach` or less are only blurred.
    """
    h, w = images.shape[-2:]
    rows, columns = (torch.tensor(range(side - reach, reach, -1), dtype=torch.int64) for side in (h, w))
    moved = []
    for part, draws in chance.parts(images):
        part = _blurred(part, sigma, torch.float64)  # since one value that differs is copied and blurred again
        for _ in range(iterations if len(rows) and len(columns) else 0):
            part = copied_in_turn(part, rows, columns, draws.integers(-reach, reach, len(rows), len(columns), 2))
        moved.append(_blurred(part, sigma, torch.float64))
    return torch.cat(moved)


def copied_in_turn(images: Tensor, rows: Tensor, columns: Tensor, moves: Tensor) -> Tensor:
    """Give pixels in turn the value that another one has at that time.

    What a pixel takes may have been taken from another before, and so on. So each pixel points to another, as that was
    before or as it is after its own turn, and pointers of the second kind are followed, twice as far each time.

    Args:
        images: (b, c, h, w)
        rows, columns: of the pixels whose turn comes, both descending: the last row first, from its last column.
        moves: columns and rows to the pixel to copy, int64 (b, rows, columns, 2).
    """
    b, c, h, w = images.shape
    pixels = (rows[:, None] * w + columns).to(images.device)
    taking = torch.zeros(h * w, dtype=torch.bool, device=images.device)
    taking[pixels] = True
    others = pixels + moves[..., 1] * w + moves[..., 0]
    had_turn = (others > pixels) & taking[others]
    count = b * h * w
    first = torch.arange(0, count, h * w, device=images.device)[:, None, None]  # pixel of each image
    pointers = torch.arange(count, device=images.device)
    pointers[pixels + first] = others + first + had_turn * count
    waiting = (pointers >= count).nonzero()[:, 0]
    while len(waiting):
        pointers[waiting] = pointers[pointers[waiting] - count]
        waiting = waiting[pointers[waiting] >= count]
    channels = images.transpose(0, 1).flatten(1)  # b c h w -> c (b h w)
    return channels.index_select(1, pointers).view(c, b, h, w).transpose(0, 1)


def motion_blur(images: Tensor, chance: ImageChance, radius: int, sigma: float) -> Tensor:
    """Blur along a line to the right, at a random angle of up to 45 degrees to either side.

    `motion_blurred` defines it; the published code calls ImageMagick for it.
    """
    return motion_blurred(images, radius, sigma, chance.uniform(-45, 45))


def zoom_blur(images: Tensor, chance: ImageChance, stop: float, step: float) -> Tensor:
    """Average the image and its enlargements by the factors `arange(1, stop, step)`, cropped at the centre.

    Rounding decides whether a factor equal to `stop` is one of them, so that ImageNet-C has 12, 16, 11, 13 and 11; the
    first is 1. An enlargement is linear interpolation from the outermost pixels inwards, as `scipy.ndimage.zoom` does
    it. Each side of the image is cropped by itself.
    """
    factors = np.arange(1, stop, step).tolist()
    h, w = images.shape[-2:]
    levels = _zoom_levels(len(factors)).to(images.device)
    blurred = []
    for part in parts(images):
        part = _valued(part, levels)
        total = part.clone()
        for factor in factors:
            total += separable(part, _zoomed(h, factor), _zoomed(w, factor))
        blurred.append(total / (len(factors) + 1))
    return torch.cat(blurred)


@lru_cache(maxsize=256)
def _zoomed(side: int, factor: float) -> Banded:
    """Return the matrix that enlarges a row of pixels: scipy's answer to the identity."""
    from scipy import ndimage

    crop = math.ceil(side / factor)
    start = (side - crop) // 2
    enlarged = ndimage.zoom(np.eye(side)[start : start + crop], (factor, 1), order=1)
    start = (len(enlarged) - side) // 2
    return banded(enlarged[start : start + side], torch.float32)


def gaussian_blur(images: Tensor, chance: ImageChance, sigma: float) -> Tensor:
    """Convolve with a Gaussian, cut off at 4 sigmas; borders are repeated."""
    dtype = torch.float64 if sigma < 1 else torch.float32
    return torch.cat([_blurred(part, sigma, dtype) for part in parts(images)])


def _blurred(images: Tensor, sigma: float, dtype: torch.dtype) -> Tensor:
    """Blur 255 minus the image: near 0 a float holds even the tiny darkening at the rim of a white area."""
    lacks = _gaussian_lacks(sigma, dtype).to(images.device)
    lack = gaussian_filter(_valued(images, lacks), sigma).ceil_()
    return (255 - lack).clamp_(0).to(torch.uint8)


@lru_cache(maxsize=32)
def _gaussian_lacks(sigma: float, dtype: torch.dtype) -> Tensor:
    from scipy import ndimage

    grey = np.arange(256)[:, None, None] / 255
    flat = ndimage.gaussian_filter(grey, (0, sigma, sigma), mode="nearest").ravel() * 255
    return (255 - _nudged(flat, dtype)).clamp_(0)


@lru_cache(maxsize=32)
def _zoom_levels(count: int) -> Tensor:
    grey = (np.arange(256) / 255).astype(np.float32)
    total = np.zeros_like(grey)
    for _ in range(count):
        total += grey
    return _nudged((grey + total) / (count + 1) * 255, torch.float32)


def _nudged(flat: NDArray[np.floating], dtype: torch.dtype) -> Tensor:
    """Return the 256 grey levels, each moved up or down a little, so that a flat area of it is truncated as published.

    Args:
        flat: what the published arithmetic makes of each level, before it is truncated.
        dtype: of the levels. Narrow blurs need float64: with weights of a millionth, what they add to a smooth area is
            less than the rounding of float32, and still decides.
    """
    levels, nudge = np.arange(256), _NUDGE[dtype]
    falls = flat < levels
    falls[0] = falls[1]  # of black itself it cannot be seen, but of a mean with others
    return torch.from_numpy(np.where(falls, levels - nudge, levels + nudge)).to(dtype)


def _valued(images: Tensor, levels: Tensor) -> Tensor:
    return levels.index_select(0, images.flatten().int()).view(images.shape)


CORRUPTIONS.add(
    "defocus_blur",
    Corruption(
        "c",
        defocus_blur,
        {
            32: ((0.3, 0.4), (0.4, 0.5), (0.5, 0.6), (1, 0.2), (1.5, 0.1)),
            64: ((0.5, 0.6), (1, 0.1), (1.5, 0.1), (2.5, 0.01), (3, 0.1)),
            224: ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
            299: ((4, 0.1), (5, 0.5), (7, 0.5), (10, 0.5), (12, 0.5)),
        },
    ),
)
CORRUPTIONS.add(
    "glass_blur",
    Corruption(
        "c",
        glass_blur,
        {
            32: ((0.05, 1, 1), (0.25, 1, 1), (0.4, 1, 1), (0.25, 1, 2), (0.4, 1, 2)),
            64: ((0.1, 1, 1), (0.5, 1, 1), (0.6, 1, 2), (0.7, 2, 1), (0.9, 2, 2)),
            224: ((0.7, 1, 2), (0.9, 2, 1), (1, 2, 3), (1.1, 3, 2), (1.5, 4, 2)),
            299: ((0.8, 1, 3), (1, 3, 1), (1.1, 2, 4), (1.2, 4, 2), (1.6, 5, 2)),
        },
    ),
)
CORRUPTIONS.add(
    "motion_blur",
    Corruption(
        "c",
        motion_blur,
        {
            32: ((6, 1), (6, 1.5), (6, 2), (8, 2), (9, 2.5)),
            64: ((10, 1), (10, 1.5), (10, 2), (10, 2.5), (12, 3)),
            224: ((10, 3), (15, 5), (15, 8), (15, 12), (20, 15)),
            299: ((12, 4), (17, 6), (17, 9), (17, 13), (22, 16)),
        },
    ),
)
CORRUPTIONS.add(
    "zoom_blur",
    Corruption(
        "c",
        zoom_blur,
        {
            32: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
            64: ((1.06, 0.01), (1.11, 0.01), (1.16, 0.01), (1.21, 0.01), (1.26, 0.01)),
            224: ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
            299: ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)),
        },
    ),
)
CORRUPTIONS.add(
    "gaussian_blur",
    Corruption(
        "extra",
        gaussian_blur,
        {
            32: ((0.4,), (0.6,), (0.7,), (0.8,), (1,)),
            64: ((0.5,), (0.75,), (1,), (1.25,), (1.5,)),
            224: ((1,), (2,), (3,), (4,), (6,)),
            299: ((1.5,), (2.5,), (3.5,), (4.5,), (6.5,)),
        },
    ),
)
