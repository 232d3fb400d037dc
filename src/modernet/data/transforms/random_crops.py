"""Random resized crops (Szegedy et al. 2014), of an image that is decoded and of a batch on its device."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from modernet.data.images.views import Box, View, central_view, covering_scale
from modernet.preparation import Size
from modernet.recipes import Augmentation, DenseAugmentation

_RATIOS = (3 / 4, 4 / 3)  # Szegedy et al. 2014, as everywhere since
_TRIES = 10

Floats = NDArray[np.float64]


def random_view(h: int, w: int, size: Size, augmentation: Augmentation, rng: np.random.Generator) -> View:
    """Draw the view of an image of any shape: a crop of a rescaled image, a random resized crop, or else the centre,
    mirrored or not.
    """
    view = central_view(h, w, size)
    if isinstance(augmentation, DenseAugmentation) and augmentation.rescales:
        view = View(rescaled_box(h, w, size, (augmentation.scale_min, augmentation.scale_max), rng), size)
    elif augmentation.crop_scale < 1:
        view = View(random_box(h, w, augmentation.crop_scale, rng, size[1] / size[0]), size)
    return replace(view, flipped=rng.random() < augmentation.flip)


def random_box(h: int, w: int, smallest_area: float, rng: np.random.Generator, shape: float = 1.0) -> Box:
    """Draw the box of a random resized crop, in whole pixels of an image of any shape, as torchvision and timm do.

    Area uniform; width over height, relative to `shape`, log-uniform from 3:4 to 4:3; place uniform; the first of ten
    draws that fits. Where none does, the largest box in the centre that has such a shape.

    Args:
        shape: width over height of what the box is scaled to.
    """
    *tries, down, right = rng.random(2 * _TRIES + 2).tolist()  # plain numbers: for one image, arrays are slower
    low, high = (math.log(ratio) for ratio in _RATIOS)
    for share, slant in zip(tries[::2], tries[1::2], strict=True):
        area, ratio = (
            h * w * (smallest_area + (1 - smallest_area) * share),
            shape * math.exp(low + (high - low) * slant),
        )
        height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < height <= h and 0 < width <= w:
            return Box(int(down * (h - height + 1)), int(right * (w - width + 1)), height, width)
    narrow, wide = (shape * ratio for ratio in _RATIOS)
    height, width = min(h, max(round(w / narrow), 1)), min(w, max(round(h * wide), 1))
    return Box((h - height) // 2, (w - width) // 2, height, width)


def rescaled_box(h: int, w: int, size: Size, scales: tuple[float, float], rng: np.random.Generator) -> Box:
    """Draw a crop of `size` of an image that is scaled by a random factor, in whole pixels of the image as it is.

    The factor is relative to the size at which the image just covers `size`, limited where it is longer than 4:1, as in
    OpenMMLab's `Resize` with `ratio_range`. Along a side that is shorter than the crop, the box starts at the image's
    border and reaches beyond the other one.
    """
    factor, down, right = float(rng.uniform(*scales)), rng.random(), rng.random()
    scale = factor * covering_scale((h, w), size)
    boxes = []
    for length, side, place in ((h, size[0], down), (w, size[1], right)):
        free = max(int(length * scale + 0.5) - side, 0)
        boxes.append((round(int(place * (free + 1)) / scale), max(round(side / scale), 1)))
    (top, height), (left, width) = boxes
    return Box(top, left, height, width)


def random_crops(n: int, smallest_area: float, rng: np.random.Generator) -> Floats:
    """Draw the boxes of random resized crops of images that have the shape of the result, not bound to whole pixels.

    Returns:
        (n, 4), top, left, height and width as shares of the image.
    """
    height, width = random_shapes(n, (smallest_area, 1.0), _RATIOS, rng)
    fits = (height <= 1) & (width <= 1)
    fits[:, -1] = True  # where none fits, the last is cut to fit
    first = np.arange(n), fits.argmax(1)
    extent = np.minimum(np.stack((height[first], width[first]), 1), 1)
    corner = rng.random((n, 2)) * (1 - extent)
    return np.concatenate((corner, extent), 1)


def random_shapes(
    n: int, areas: tuple[float, float], ratios: tuple[float, float], rng: np.random.Generator, whole: float = 1.0
) -> tuple[Floats, Floats]:
    """Draw heights and widths, (n, 10) each, whose area as a share of `whole` is uniform, and width over height
    log-uniform.
    """
    area = rng.uniform(*areas, (n, _TRIES)) * whole
    ratio = np.exp(rng.uniform(math.log(ratios[0]), math.log(ratios[1]), (n, _TRIES)))
    return np.sqrt(area / ratio), np.sqrt(area * ratio)
