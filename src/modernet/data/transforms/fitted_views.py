"""Views of images with boxes: fitted into a size, whichever way the image is turned, and never stretched or padded."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from modernet.data.images.views import Box, View
from modernet.data.transforms.random_crops import random_box
from modernet.preparation import Size
from modernet.recipes import Augmentation, DetectionAugmentation

# of DETR (Carion et al. 2020), for images whose shorter side becomes 800 pixels
_SHORT = 800
_SHORT_SIDES = tuple(range(480, 801, 32))
_BEFORE_CROP, _LONGEST_BEFORE_CROP = (400, 500, 600), 4200
_CROP_SIDES = (384, 600)


def fit_scale(h: int, w: int, size: Size) -> float:
    """Return the factor by which an image just fits into `size`, or into `size` turned by 90 degrees.

    >>> fit_scale(480, 640, (800, 1333)), fit_scale(640, 480, (800, 1333)), fit_scale(100, 1333, (800, 1333))
    (1.6666666666666667, 1.6666666666666667, 1.0)
    """
    return min(min(size) / min(h, w), max(size) / max(h, w))


def fitted_size(h: int, w: int, size: Size) -> Size:
    """Return the size of an image that is scaled to fit into `size`, rounded as OpenMMLab does.

    >>> fitted_size(480, 640, (800, 1333))
    (800, 1067)
    """
    scale = fit_scale(h, w, size)
    return _scaled(h, scale), _scaled(w, scale)


def fit_view(h: int, w: int, size: Size) -> View:
    """Return the whole image, scaled to fit into `size`."""
    return View(Box(0, 0, h, w), fitted_size(h, w, size))


def random_fitted_view(h: int, w: int, size: Size, augmentation: Augmentation, rng: np.random.Generator) -> View:
    """Draw a view of an image that fits into `size`: whole or cropped, at a random scale or not, mirrored or not."""
    if isinstance(augmentation, DetectionAugmentation) and augmentation.multi_scale:
        view = _multi_scale(h, w, size, rng)
    elif isinstance(augmentation, DetectionAugmentation) and augmentation.rescales:
        view = _jittered(h, w, size, float(rng.uniform(augmentation.scale_min, augmentation.scale_max)), rng)
    elif augmentation.crop_scale < 1:
        box = random_box(h, w, augmentation.crop_scale, rng, w / h)
        view = View(box, fitted_size(box.height, box.width, size))
    else:
        view = fit_view(h, w, size)
    return replace(view, flipped=rng.random() < augmentation.flip)


def _multi_scale(h: int, w: int, size: Size, rng: np.random.Generator) -> View:
    """Choose one of eleven scales, for half of the images after a crop at one of three."""
    unit = min(size) / _SHORT
    box = Box(0, 0, h, w)
    if rng.random() < 0.5:
        before = (unit * _BEFORE_CROP[rng.integers(len(_BEFORE_CROP))], unit * _LONGEST_BEFORE_CROP)
        scale = min(before[0] / min(h, w), before[1] / max(h, w))
        (top, height), (left, width) = (_crop(side, scale, unit, rng) for side in (h, w))
        box = Box(top, left, height, width)
    short = round(unit * _SHORT_SIDES[rng.integers(len(_SHORT_SIDES))])
    return View(box, fitted_size(box.height, box.width, (short, max(size))))


def _crop(length: int, scale: float, unit: float, rng: np.random.Generator) -> tuple[int, int]:
    """Draw start and length of a crop along one side, in whole pixels of the image as it is."""
    scaled = _scaled(length, scale)
    low, high = (min(scaled, round(unit * side)) for side in _CROP_SIDES)
    cropped = int(rng.integers(low, high + 1))
    start = int(rng.integers(scaled - cropped + 1))
    first = min(round(start / scale), length - 1)
    return first, min(max(round(cropped / scale), 1), length - first)


def _jittered(h: int, w: int, size: Size, factor: float, rng: np.random.Generator) -> View:
    """Scale an image by a factor relative to what fits, and crop what is larger than `size` at a random place."""
    scale = factor * fit_scale(h, w, size)
    most = (min(size), max(size)) if h <= w else (max(size), min(size))
    boxes, shown = [], []
    for length, side in ((h, most[0]), (w, most[1])):
        scaled = _scaled(length, scale)
        start = int(rng.integers(max(scaled - side, 0) + 1))
        first = min(round(start / scale), length - 1)
        whole = scaled <= side
        boxes.append((first, length if whole else min(max(round(side / scale), 1), length - first)))
        shown.append(scaled if whole else side)
    (top, height), (left, width) = boxes
    return View(Box(top, left, height, width), (shown[0], shown[1]))


def _scaled(length: int, scale: float) -> int:
    return max(int(length * scale + 0.5), 1)
