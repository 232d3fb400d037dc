"""Point clouds as pictures from a fixed view."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from modernet.palette import palette

_SIDE = 160  # pixels of a picture
_FINER = 3  # times as many pixels are drawn as are left
_DOTS = 5, 15  # of the finer pixels, across: the more points, the smaller
_COVER = 150  # across, of one point alone
_AZIMUTH, _ELEVATION = math.radians(35), math.radians(25)
_NEAR, _FAR = np.array([0, 58, 110]), np.array([190, 212, 230])
"""Colours by depth: one hue, so that lightness alone says it."""


def draw_cloud(points: NDArray[np.float32], up: int, colours: NDArray[np.uint8] | None = None) -> NDArray[np.uint8]:
    """Draw a cloud on white from the front right, a little from above; near points hide far ones.

    Args:
        points: (n, 3 or more), x, y, z first.
        up: the axis that points up.
        colours: uint8 (n, 3); None: by depth, the nearest the darkest.

    Returns:
        uint8 (160, 160, 3)
    """
    place = points[:, :3] - (points[:, :3].max(0) + points[:, :3].min(0)) / 2
    place = place / max(float(np.linalg.norm(place, axis=1).max()), 1e-9)
    first, second, height = place[:, (up + 1) % 3], place[:, (up + 2) % 3], place[:, up]
    across = math.cos(_AZIMUTH) * first + math.sin(_AZIMUTH) * second
    away = math.cos(_AZIMUTH) * second - math.sin(_AZIMUTH) * first
    upward = math.cos(_ELEVATION) * height + math.sin(_ELEVATION) * away
    depth = math.cos(_ELEVATION) * away - math.sin(_ELEVATION) * height
    if colours is None:
        share = ((depth + 1) / 2)[:, None]
        colours = ((1 - share) * _NEAR + share * _FAR).astype(np.uint8)

    side = _SIDE * _FINER
    canvas = np.full((side, side, 3), 255, np.uint8)
    far_to_near = np.argsort(-depth, kind="stable")
    reach = side / 2 - _DOTS[1]
    rows, columns = (np.rint(side / 2 + reach * each[far_to_near]).astype(int) for each in (-upward, across))
    wide = int(np.clip(_COVER / math.sqrt(len(points)), *_DOTS)) // 2 * 2 + 1
    dot = np.arange(wide) - wide // 2
    offsets = [(y, x) for y in dot for x in dot if y * y + x * x <= wide * wide / 4]
    down, right = np.array(offsets).T
    # of equal indices, the last one, which is the nearest point, is kept
    canvas[rows[:, None] + down, columns[:, None] + right] = colours[far_to_near][:, None]
    return np.asarray(Image.fromarray(canvas).resize((_SIDE, _SIDE), Image.Resampling.BOX))


def draw_classes(
    points: NDArray[np.float32], up: int, truth: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int
) -> NDArray[np.uint8]:
    """Draw a cloud by the true classes of its points, and right of it by the predicted ones: uint8 (160, 328, 3)."""
    colours = palette(num_classes)
    gap = np.full((_SIDE, 8, 3), 255, np.uint8)
    left, right = (draw_cloud(points, up, colours[classes]) for classes in (truth, predicted))
    return np.concatenate([left, gap, right], 1)


def hex_colours(num_classes: int) -> list[str]:
    """Return the colour of each class as `#rrggbb`."""
    return [f"#{colour.tobytes().hex()}" for colour in palette(num_classes)]
