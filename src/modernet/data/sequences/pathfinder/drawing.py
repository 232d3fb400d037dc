"""Paddles and markers as small pictures, drawn large and reduced, as the published generator does."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import binary_dilation

from modernet.data.sequences.pathfinder.settings import SCALE, Settings

Bytes = NDArray[np.uint8]
_LANCZOS_REACH = 3


class Paddle(NamedTuple):
    """One stroke, from the middle of a square in some direction.

    Attributes:
        line: how bright it is, 0 to 255.
        mask: what it and its margin occupy, 0 to 255.
    """

    line: Bytes
    mask: Bytes


def reach(settings: Settings, margin: int) -> int:
    """Return how many pixels the square of a paddle extends from its middle."""
    return settings.paddle_length + math.ceil(settings.thickness) + margin


def draw_paddle(settings: Settings, margin: int, orientation: float) -> Paddle:
    """Draw a paddle.

    Args:
        orientation: in radians, from the axis of x towards that of y, which points down.
    """
    middle = reach(settings, margin) * SCALE
    length = settings.paddle_length * SCALE
    end = (math.ceil(middle + length * math.cos(orientation)), math.ceil(middle + length * math.sin(orientation)))
    large = Image.new("L", (2 * middle + 1, 2 * middle + 1))
    ImageDraw.Draw(large).line([(middle, middle), end], fill=255, width=round(settings.thickness * SCALE))
    occupied = binary_dilation(np.asarray(large) > 0, disc(margin * SCALE))
    size = 2 * reach(settings, margin) + 1
    return Paddle(_reduce(np.asarray(large), size), _reduce(np.where(occupied, 255, 0).astype(np.uint8), size))


def disc(radius: int) -> NDArray[np.bool_]:
    """Return which pixels of a square around a disc are in it."""
    y, x = np.ogrid[-radius : radius + 1, -radius : radius + 1]
    inside: NDArray[np.bool_] = x**2 + y**2 <= radius**2
    return inside


def draw_marker(settings: Settings, y: int, x: int) -> tuple[slice, slice, Bytes]:
    """Return the rows and columns of a picture that a marker at a pixel covers, and how bright they are, 0 to 255."""
    extent = math.ceil(settings.marker_radius) + _LANCZOS_REACH
    (near_y, window_y), (near_x, window_x) = (_window(place, extent, settings.side) for place in (y, x))
    marker = _marker(near_y, near_x, extent, settings.marker_radius)
    top, left = y - near_y, x - near_x
    rows = slice(top + window_y.start, top + window_y.stop)
    columns = slice(left + window_x.start, left + window_x.stop)
    return rows, columns, marker[window_y, window_x]


def _window(place: int, extent: int, side: int) -> tuple[int, slice]:
    """Return where the middle of a marker is in a canvas whose borders are as near as those of the picture."""
    size = 4 * extent
    near = place if place < 2 * extent else max(2 * extent, size - (side - place))
    return near, slice(max(near - extent, 0), min(near + extent + 1, size))


@cache
def _marker(y: int, x: int, extent: int, radius: float) -> Bytes:
    """Draw a marker onto a canvas of four extents: Lanczos' filter is another where it meets a border."""
    size = 4 * extent
    rows, columns = np.ogrid[-y * SCALE : (size - y) * SCALE, -x * SCALE : (size - x) * SCALE]
    return _reduce(np.where(columns**2 + rows**2 <= (radius * SCALE) ** 2, 255, 0).astype(np.uint8), size)


def _reduce(large: Bytes, size: int) -> Bytes:
    return np.asarray(Image.fromarray(large).resize((size, size), Image.Resampling.LANCZOS))
