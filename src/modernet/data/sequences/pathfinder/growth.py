"""Snakes that grow paddle by paddle, many at once."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.sequences.pathfinder.drawing import Bytes
from modernet.data.sequences.pathfinder.tables import (
    DEGREES,
    Places,
    Stamps,
    Tables,
    first_orientation,
    opposite,
)

TRIALS = 3
"""How often a paddle is drawn where it crosses another or leaves the picture, before the snake is given up."""
_LEAST = 1e-4 * 255
"""Weight of all places of a ring below which there is no way on."""


class Canvases(NamedTuple):
    """What is occupied in pictures, as rows of pixels; see `Tables`.

    Attributes:
        masks: 0 free to 255 occupied, (n, area); only pixels of the picture count.
        dilated: the same, dilated by the margin; 255 outside the picture.
    """

    masks: Bytes
    dilated: Bytes

    def copy(self, rows: Places) -> Canvases:
        return Canvases(self.masks[rows], self.dilated[rows])

    def set(self, rows: Places, others: Canvases) -> None:
        """Replace some rows."""
        self.masks[rows], self.dilated[rows] = others


class Tips(NamedTuple):
    """The last paddles of snakes, which are not on the canvas yet: a snake does not meet its last paddle.

    Attributes:
        y: of the pivot, around which the snake turns, in the picture, (n,).
        x: the same.
        kind: of the last paddle, (n,).
        place: of the last paddle in its canvas, (n,).
    """

    y: Places
    x: Places
    kind: Places
    place: Places

    def take(self, which: Places | NDArray[np.bool_]) -> Tips:
        return Tips(*(column[which] for column in self))


def blank(tables: Tables) -> Canvases:
    """Return one canvas in which only the border of the picture is occupied."""
    side, padding, border, margin = tables.settings.side, tables.settings.padding, tables.border, tables.margin
    masks, dilated = (np.full((side, side), 255, np.uint8) for _ in range(2))
    masks[padding:-padding, padding:-padding] = 0
    inner = padding + margin
    dilated[inner:-inner, inner:-inner] = 0
    canvases = Canvases(np.pad(masks, border), np.pad(dilated, border, constant_values=255))
    return Canvases(*(canvas.reshape(1, -1) for canvas in canvases))


def first_tips(tables: Tables, y: Places, x: Places, degree: Places) -> tuple[Tips, NDArray[np.bool_]]:
    """Return snakes of one paddle each that begin at pixels, and which of them have head and pivot in the picture."""
    settings = tables.settings
    orientation = first_orientation(degree)
    inside = np.ones(len(y), bool)
    pivot = []
    for tail, wave in ((y, np.sin), (x, np.cos)):
        head = np.ceil(tail + settings.paddle_length * wave(orientation))
        back = (settings.paddle_length + tables.margin) * wave(opposite(orientation))
        pivot.append(np.ceil(head + back))
        for place in (tail, head, pivot[-1]):
            inside &= (place >= 0) & (place < settings.side)
    return Tips(pivot[0].astype(np.int64), pivot[1].astype(np.int64), degree, tables.place(y, x)), inside


def extend(
    tables: Tables, canvases: Canvases, rows: Places, tips: Tips, rng: np.random.Generator
) -> tuple[Places, Tips]:
    """Add a paddle to each of n snakes, in canvases of different rows, and put the paddle before it onto the canvas.

    A paddle ends on the ring around the next pivot: at a place that is free and in line with the last paddle with a
    high probability, at others with a lower one. It is drawn up to three times while it crosses what is on the canvas.

    Returns:
        Which snakes have a new paddle; the others cannot go on, and their canvases are as they were. And the tips of
        these.
    """
    lost = tables.border - tables.radius  # so far outside that no place of the ring is in the picture
    y, x = (
        np.ceil(pivot + move[tips.kind]).astype(np.int64).clip(-lost, tables.settings.side - 1 + lost)
        for pivot, move in zip((tips.y, tips.x), tables.moves, strict=True)
    )
    pivot = tables.place(y, x)
    base = rows * tables.area
    ring = (base + pivot)[:, None] + tables.ring  # n -> n k
    room = tables.weights[tips.kind] * (255 - canvases.dilated.take(ring))
    cumulative = np.cumsum(room, axis=1)
    total = cumulative[:, -1]
    chosen = np.full(len(rows), -1)
    left = np.flatnonzero(total >= _LEAST)
    for _ in range(TRIALS):
        drawn = total[left] * rng.random(len(left), np.float32)
        k = (cumulative[left] > drawn[:, None]).argmax(1)
        covered = ring[left, k][:, None] + tables.cores.offsets[k]
        clear = (canvases.masks.take(covered) < tables.cores.values[k]).all(1)
        chosen[left[clear]] = k[clear]
        left = left[~clear]
    kept = np.flatnonzero(chosen >= 0)
    settle(tables, canvases, rows[kept], tips.take(kept))
    k = chosen[kept]
    return kept, Tips(y[kept], x[kept], DEGREES + k, pivot[kept] + tables.ring[k])


def settle(tables: Tables, canvases: Canvases, rows: Places, tips: Tips) -> None:
    """Put the last paddles of snakes onto their canvases, which are of different rows."""
    stamp(canvases.masks, tables.masks, rows, tips.kind, tips.place)
    stamp(canvases.dilated, tables.dilated, rows, tips.kind, tips.place)


def stamp(canvases: Bytes, stamps: Stamps, rows: Places, kinds: Places, places: Places) -> None:
    """Draw a small picture into each of some different rows: the brighter pixel stays."""
    covered = (rows * canvases.shape[1] + places)[:, None] + stamps.offsets[kinds]
    canvases.put(covered, np.maximum(canvases.take(covered), stamps.values[kinds]))
