"""What a paddle of each kind covers and where it may lead, computed once: growth then only looks up."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import grey_dilation

from modernet.data.sequences.pathfinder.drawing import Bytes, disc, draw_paddle, reach
from modernet.data.sequences.pathfinder.settings import Settings

Places = NDArray[np.int64]
Numbers = NDArray[np.float64]
Number = TypeVar("Number", np.int64, np.uint8)

DEGREES = 360
"""Kinds of first paddles: one for each degree. The kinds of all others follow, one for each place of the ring."""
CROSSING = 459
"""Two paddles cross where their masks add up to 1.8, in 255ths."""
FREE = 76
"""A pixel is free where its mask is at most 0.3, in 255ths."""


class Stamps(NamedTuple):
    """The pixels of small pictures that are not 0, as many for each: the last one is repeated.

    Attributes:
        offsets: from the place of a paddle to its pixels, in a canvas, (kinds, pixels).
        values: of those pixels, (kinds, pixels).
    """

    offsets: Places
    values: Bytes


class Tables(NamedTuple):
    """Everything about the paddles of one size and margin.

    A canvas is a picture with `border` more pixels on each side, as a row of `area` pixels. `kinds` is how many kinds
    of paddles there are: `DEGREES` of the first ones, and one for each of the k places of the ring, the places where
    the next paddle may end around the pivot of a snake.
    """

    settings: Settings
    margin: int
    border: int
    width: int
    """Of a canvas."""
    ring: Places
    """Offsets of the ring's places in a canvas, (k,)."""
    weights: NDArray[np.float32]
    """How likely each place is after a paddle of each kind where nothing is in the way, (kinds, k)."""
    moves: Numbers
    """From one pivot to the next along a paddle of each kind: y and x, (2, kinds)."""
    lines: Stamps
    masks: Stamps
    dilated: Stamps
    """Masks dilated by the margin."""
    cores: Stamps
    """Of paddles that end at each place of the ring: pixels that may cross, and from which mask on they do."""
    seeds: tuple[Places, ...]
    """For each degree: y and x from the place of a first paddle to the pixels that must be free, (pixels, 2)."""
    seed_offsets: Places
    """The same in a canvas, as many for each degree: the last one is repeated, (360, pixels)."""
    blind: NDArray[np.bool_]
    """Degrees for which no first paddle has room, see `_blind`, (360,)."""
    least: Places
    """The least y and x where a first snake may begin with a paddle of each degree, (360, 2)."""
    central: Places
    """How many y and x from there on, (360, 2); 0 where there is no room."""

    @property
    def area(self) -> int:
        return self.width**2

    @property
    def radius(self) -> int:
        """Of the ring."""
        return self.settings.paddle_length + self.margin

    def place(self, y: Places, x: Places) -> Places:
        """Return the place in a canvas of pixels of the picture."""
        return (y + self.border) * self.width + x + self.border


def first_orientation(degree: NDArray[np.int64]) -> Numbers:
    """Return the orientations of first paddles in radians; their kinds are 0 to 359."""
    return (degree - DEGREES // 2) * np.pi / 180


def opposite(orientation: Numbers) -> Numbers:
    """Turn orientations by half a turn."""
    return np.where(orientation < 0, orientation + np.pi, orientation - np.pi)


@cache
def tables(settings: Settings, margin: int) -> Tables:
    """Compute the tables of one size and margin."""
    radius = settings.paddle_length + margin
    border = 2 * radius + 1  # a ring around a pivot that is just outside the picture is inside the canvas
    width = settings.side + 2 * border
    ring = ring_of(radius)
    ring_orientation = np.arctan2(ring[:, 0], ring[:, 1])
    orientation = np.concatenate([first_orientation(np.arange(DEGREES)), ring_orientation])
    drawn = np.concatenate([orientation[:DEGREES], opposite(ring_orientation)])  # from the end back to the pivot
    paddles = [draw_paddle(settings, margin, angle) for angle in drawn.tolist()]
    masks = [paddle.mask for paddle in paddles]
    dilated = [grey_dilation(np.pad(mask, margin), footprint=disc(margin)) for mask in masks]
    cores = [np.where(mask >= CROSSING - 255, mask, 0) for mask in masks[DEGREES:]]
    core_stamps = _stamps(cores, width)
    apart = np.abs(ring_orientation - orientation[:, None])
    turn = np.minimum(np.minimum(apart, 2 * np.pi - apart) * settings.continuity, np.pi / 2)
    step = settings.paddle_length + 2 * margin
    seeds = tuple(_must_be_free(mask, settings, margin) for mask in masks[:DEGREES])
    blind = np.array([_blind(pixels) for pixels in seeds])
    closed = settings.padding if settings.anywhere else max(settings.padding, 2 * settings.seed_distance)
    least = np.array([closed - pixels.min(0) for pixels in seeds])
    most = np.array([settings.side - 1 - closed - pixels.max(0) for pixels in seeds])
    return Tables(
        settings=settings,
        margin=margin,
        border=border,
        width=width,
        ring=_offsets(ring, width),
        weights=(np.maximum(np.cos(turn), 0) ** 2).astype(np.float32),
        moves=step * np.stack([np.sin(orientation), np.cos(orientation)]),
        lines=_stamps([paddle.line for paddle in paddles], width),
        masks=_stamps(masks, width),
        dilated=_stamps(dilated, width),
        cores=Stamps(core_stamps.offsets, (CROSSING - core_stamps.values.astype(np.int64)).astype(np.uint8)),
        seeds=seeds,
        seed_offsets=_padded([_offsets(pixels, width) for pixels in seeds]),
        blind=blind,
        least=least,
        central=np.where(blind[:, None], 0, np.maximum(most - least + 1, 0)),
    )


def ring_of(radius: int) -> NDArray[np.int64]:
    """Return y and x of the pixels of a circle: one for each pixel of its length, rounded down, without doubles."""
    angles = np.arange(0, 360, 360.0 / (2 * radius * np.pi)) * np.pi / 180
    circle = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    return np.unique(np.floor(radius * circle).astype(np.int64), axis=0)


def _must_be_free(mask: Bytes, settings: Settings, margin: int) -> Places:
    """Return y and x of the pixels of a first paddle that are wholly occupied, one pixel further down and right.

    The published generator has this shift, and cuts them off where they are further away than length and margin.
    """
    offsets = np.argwhere(mask == 255) - reach(settings, margin) + 1
    return offsets[(np.abs(offsets) <= settings.paddle_length + margin).all(1)]


def _blind(pixels: Places) -> bool:
    """Return whether a first paddle has no place anywhere, by a quirk of the published generator.

    It looks for room by a dilation with the pixels of the paddle, and gives up if there is a pixel of the picture, one
    in a corner, for which all of these are outside.
    """
    return not all(((pixels * corner) <= 0).all(1).any() for corner in ((1, 1), (1, -1), (-1, 1), (-1, -1)))


def _stamps(pictures: Sequence[Bytes], width: int) -> Stamps:
    """Collect what is not 0 in square pictures around a place."""
    half = len(pictures[0]) // 2
    found = [np.argwhere(picture) for picture in pictures]
    offsets = _padded([_offsets(pixels - half, width) for pixels in found])
    values = _padded([picture[tuple(pixels.T)] for picture, pixels in zip(pictures, found, strict=True)])
    return Stamps(offsets, values)


def _offsets(pixels: Places, width: int) -> Places:
    """Return the offsets in a canvas of y and x, (n, 2)."""
    return pixels[:, 0] * width + pixels[:, 1]


def _padded(rows: Sequence[NDArray[Number]]) -> NDArray[Number]:
    """Put rows of different lengths into one array, with the last value of each repeated."""
    most = max(len(row) for row in rows)
    return np.stack([row[np.minimum(np.arange(most), len(row) - 1)] for row in rows])
