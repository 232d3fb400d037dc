"""Augmentation of whole batches on their device.

What is random is drawn on the CPU, from a generator that the caller seeds, as a few numbers an image; the pixels are
then moved in one operation for the batch. So a batch is augmented in the same way on every device, except for the
noise of `erasing`, which is drawn where it is needed.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.images.views import Box, Interpolation
from modernet.recipes import Augmentation

_CROP_RATIOS = (3 / 4, 4 / 3)  # Szegedy et al. 2014, as everywhere since
_ERASING_AREAS, _ERASING_RATIOS = (0.02, 1 / 3), (0.3, 1 / 0.3)  # Zhong et al. 2017, section 4, as in timm
_TRIES = 10

Floats = NDArray[np.float64]


def move(
    images: Tensor, augmentation: Augmentation, rng: np.random.Generator, interpolation: Interpolation = "bilinear"
) -> Tensor:
    """Flip, shift and crop a batch, whichever of them are on.

    Args:
        images: uint8 (b, 3, h, w), square.
        interpolation: how crops are enlarged.

    Returns:
        uint8 or, once cropped, float32 (b, 3, h, w), in [0, 255].
    """
    b, side = len(images), images.shape[-1]
    furthest = min(round(augmentation.shift * side), side - 1)  # reflection reaches no further than the other border
    if furthest > 0 or augmentation.flip > 0:
        offsets = rng.integers(-furthest, furthest + 1, (2, b))
        images = shift_and_flip(images, offsets[0], offsets[1], rng.random(b) < augmentation.flip)
    if augmentation.crop_scale < 1:
        images = resample(images, random_crops(b, augmentation.crop_scale, rng), interpolation)
    return images


def erase(images: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """Erase and cut out, in place, whichever of them is on.

    Args:
        images: float32 (b, 3, h, w), square, normalised: noise has mean 0 and deviation 1, and blank is the mean
            colour.
    """
    b, side = len(images), images.shape[-1]
    if augmentation.erasing > 0:
        chosen = np.flatnonzero(rng.random(b) < augmentation.erasing)
        top, left, height, width = erasing_rectangles(len(chosen), side, rng).T
        noise_source = torch.Generator(images.device).manual_seed(int(rng.integers(2**62)))
        where = torch.from_numpy(chosen).to(images.device)
        part = images[where]
        noise = torch.empty_like(part).normal_(generator=noise_source)
        images[where] = torch.where(inside(top, left, height, width, side, images.device), noise, part)
    square = round(augmentation.cutout * side)
    if square > 0:
        centre = rng.integers(0, side, (2, b))  # anywhere, so that the square may hang over the border, as in the paper
        top, left = centre - square // 2
        extent = np.full(b, square)
        images.masked_fill_(inside(top, left, extent, extent, side, images.device), 0.0)
    return images


def shift_and_flip(
    images: Tensor, down: NDArray[np.int64], right: NDArray[np.int64], flipped: NDArray[np.bool_]
) -> Tensor:
    """Move each image by whole pixels, filling the border by reflection (the border's own pixels are not repeated),
    then mirror the chosen ones.

    Args:
        images: (b, c, h, w), any dtype.
        down: (b,) pixels, at most h - 1 either way.
        right: (b,) pixels, at most w - 1 either way.
        flipped: (b,)
    """
    b, _, h, w = images.shape
    rows = _reflect(np.arange(h) - down[:, None], h)  # b h
    columns = _reflect(np.arange(w) - right[:, None], w)
    columns = np.where(flipped[:, None], columns[:, ::-1], columns)
    image = torch.arange(b, device=images.device)[:, None, None]
    row = torch.from_numpy(rows).to(images.device, non_blocking=True)[:, :, None]
    column = torch.from_numpy(columns).to(images.device, non_blocking=True)[:, None, :]
    # with channels last, a pixel's three bytes are one copy; the result is channels last again
    return images.permute(0, 2, 3, 1)[image, row, column].permute(0, 3, 1, 2)


def resample(images: Tensor, boxes: Floats, interpolation: Interpolation = "bilinear") -> Tensor:
    """Enlarge a box of each image to the whole image.

    Args:
        images: (b, c, h, w), in [0, 255].
        boxes: (b, 4), top, left, height and width as shares of the image.

    Returns:
        float32 (b, c, h, w), in [0, 255].
    """
    b, _, h, w = images.shape
    top, left, height, width = torch.from_numpy(boxes).float().to(images.device)[:, :, None].unbind(1)  # b 1 each
    y = (top + height * (torch.arange(h, device=images.device) + 0.5) / h) * 2 - 1
    x = (left + width * (torch.arange(w, device=images.device) + 0.5) / w) * 2 - 1
    grid = torch.stack((x[:, None, :].expand(b, h, w), y[:, :, None].expand(b, h, w)), -1)
    enlarged = F.grid_sample(images.float(), grid, mode=interpolation, padding_mode="border", align_corners=False)
    return enlarged if interpolation == "bilinear" else enlarged.clamp_(0, 255)  # cubic curves overshoot at edges


def random_crops(n: int, smallest_area: float, rng: np.random.Generator) -> Floats:
    """Boxes of a random resized crop of square images (Szegedy et al. 2014), not bound to whole pixels.

    Returns:
        (n, 4), top, left, height and width as shares of the image.
    """
    height, width = _tries(n, (smallest_area, 1.0), _CROP_RATIOS, rng)
    fits = (height <= 1) & (width <= 1)
    fits[:, -1] = True  # where none fits, the last is cut to fit
    first = np.arange(n), fits.argmax(1)
    extent = np.minimum(np.stack((height[first], width[first]), 1), 1)
    corner = rng.random((n, 2)) * (1 - extent)
    return np.concatenate((corner, extent), 1)


def random_box(h: int, w: int, smallest_area: float, rng: np.random.Generator) -> Box:
    """The box of a random resized crop, in whole pixels of an image of any shape, as torchvision and timm draw it.

    Area uniform, width over height log-uniform from 3:4 to 4:3, place uniform; the first of ten draws that fits. Where
    none does, the largest box in the centre that has such a shape.
    """
    *tries, down, right = rng.random(2 * _TRIES + 2).tolist()  # plain numbers: for one image, arrays are slower
    low, high = (math.log(ratio) for ratio in _CROP_RATIOS)
    for share, slant in zip(tries[::2], tries[1::2], strict=True):
        area, ratio = h * w * (smallest_area + (1 - smallest_area) * share), math.exp(low + (high - low) * slant)
        height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < height <= h and 0 < width <= w:
            return Box(int(down * (h - height + 1)), int(right * (w - width + 1)), height, width)
    height, width = min(h, round(w / _CROP_RATIOS[0])), min(w, round(h * _CROP_RATIOS[1]))
    return Box((h - height) // 2, (w - width) // 2, height, width)


def erasing_rectangles(n: int, side: int, rng: np.random.Generator) -> NDArray[np.int64]:
    """Rectangles of random erasing in square images, as timm draws them: area uniform from 2 to 33 %, shape
    log-uniform from 3:10 to 10:3, place uniform; the first of ten draws that fits.

    Returns:
        (n, 4), top, left, height and width in pixels; height and width are 0 where none fits.
    """
    height, width = (np.rint(sides) for sides in _tries(n, _ERASING_AREAS, _ERASING_RATIOS, rng, side**2))
    fits: NDArray[np.bool_] = (height < side) & (width < side)
    first = np.arange(n), fits.argmax(1)
    extent = np.stack((height[first], width[first]), 1) * fits.any(1, keepdims=True)
    corner = rng.integers(0, side - extent.astype(np.int64) + 1)
    return np.concatenate((corner, extent.astype(np.int64)), 1)


def _tries(
    n: int, areas: tuple[float, float], ratios: tuple[float, float], rng: np.random.Generator, whole: float = 1.0
) -> tuple[Floats, Floats]:
    """Heights and widths (n, 10) whose area, as a share of `whole`, is uniform, and width over height log-uniform."""
    area = rng.uniform(*areas, (n, _TRIES)) * whole
    ratio = np.exp(rng.uniform(math.log(ratios[0]), math.log(ratios[1]), (n, _TRIES)))
    return np.sqrt(area / ratio), np.sqrt(area * ratio)


def inside(
    top: NDArray[np.generic],
    left: NDArray[np.generic],
    height: NDArray[np.generic],
    width: NDArray[np.generic],
    side: int,
    device: torch.device,
) -> Tensor:
    """Which pixels of square images lie in a rectangle each; what hangs over the border is cut off.

    Args:
        top, left, height, width: (b,) in pixels.

    Returns:
        bool (b, 1, side, side)
    """
    corners = np.stack((top, left, height, width), 1).astype(np.int64)
    y0, x0, h, w = torch.from_numpy(corners).to(device)[:, :, None].unbind(1)  # b 1 each
    axis = torch.arange(side, device=device)
    rows = (axis >= y0) & (axis < y0 + h)
    columns = (axis >= x0) & (axis < x0 + w)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _reflect(position: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Positions at most length - 1 outside of 0 ... length - 1, mirrored back into it."""
    mirrored: NDArray[np.int64] = length - 1 - np.abs(length - 1 - np.abs(position))
    return mirrored
