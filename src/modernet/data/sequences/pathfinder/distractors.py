"""The short snakes of a picture, which have nothing to do with its class."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.sequences.pathfinder.drawing import Bytes
from modernet.data.sequences.pathfinder.growth import TRIALS, Canvases, Tips, extend, first_tips, settle
from modernet.data.sequences.pathfinder.tables import DEGREES, FREE, Places, Tables

_ATTEMPTS = 5
_LEAST_FREE = 0.01
_CANDIDATES = 16


class Distractors(NamedTuple):
    """Short snakes, one in each of some pictures.

    Attributes:
        rows: of the pictures.
        kinds: of their paddles, (n, length).
        places: of their paddles in the canvas, (n, length).
    """

    rows: Places
    kinds: Places
    places: Places


def draw_distractors(tables: Tables, canvases: Canvases, rng: np.random.Generator) -> list[Distractors]:
    """Draw short snakes one after another into all pictures, and put them onto their canvases.

    Each is tried up to five times; a picture that has no room for it, or of which less than 1 % is free, goes without.
    """
    found = []
    for _ in range(tables.settings.distractors):
        waiting = np.flatnonzero(_free_share(tables, canvases.masks) >= _LEAST_FREE)
        for _ in range(_ATTEMPTS):
            drawn = _attempt(tables, canvases, waiting, rng)
            waiting = np.setdiff1d(waiting, drawn.rows, assume_unique=True)
            found.append(drawn)
    return found


def _attempt(tables: Tables, canvases: Canvases, rows: Places, rng: np.random.Generator) -> Distractors:
    """Try to draw a short snake into each of some pictures."""
    seeded, tips = _seed(tables, canvases.masks, rows, rng)
    rows = rows[seeded]
    trial = canvases.copy(rows)
    left = np.arange(len(rows))
    paddles = [np.stack(tips[2:])]  # kind and place, (2, n)
    for _ in range(tables.settings.distractor_length - 1):
        kept, tips = extend(tables, trial, left, tips, rng)
        left = left[kept]
        paddles = [*(earlier[:, kept] for earlier in paddles), np.stack(tips[2:])]
    settle(tables, trial, left, tips)
    canvases.set(rows[left], trial.copy(left))
    kinds, places = np.stack(paddles, axis=-1)
    return Distractors(rows[left], kinds, places)


def _seed(tables: Tables, masks: Bytes, rows: Places, rng: np.random.Generator) -> tuple[Places, Tips]:
    """Draw the first paddle of a short snake in each row, up to three times while it leaves the picture.

    Returns:
        In which of the rows there is one, and their tips.
    """
    left = np.arange(len(rows))
    seeded: list[Places] = []
    tips: list[Tips] = []
    for _ in range(TRIALS):
        degree = rng.integers(DEGREES, size=len(left))
        y, x = _draw_places(tables, masks, rows[left], degree, rng)
        some = y >= 0  # a snake without any room is given up at once
        left, degree, y, x = left[some], degree[some], y[some], x[some]
        drawn, inside = first_tips(tables, y, x, degree)
        seeded.append(left[inside])
        tips.append(drawn.take(inside))
        left = left[~inside]
    return np.concatenate(seeded), Tips(*(np.concatenate(column) for column in zip(*tips, strict=True)))


def _draw_places(
    tables: Tables, masks: Bytes, rows: Places, degree: Places, rng: np.random.Generator
) -> tuple[Places, Places]:
    """Draw y and x uniformly from the pixels where a first paddle would be free of others; -1 if there are none."""
    side = tables.settings.side
    tried = rng.integers(side, size=(2, len(rows), _CANDIDATES))
    corner = rows[:, None] * tables.area + tables.place(*tried)
    covered = corner[..., None] + tables.seed_offsets[degree][:, None]  # n candidates pixels
    free = (masks.take(covered) <= FREE).all(-1) & ~tables.blind[degree][:, None]
    first = free.argmax(1)
    y, x = (np.where(free.any(1), places[np.arange(len(rows)), first], -1) for places in tried)
    for index in np.flatnonzero((y < 0) & ~tables.blind[degree]):
        every = np.flatnonzero(free_places(tables, masks[rows[index]], int(degree[index])))
        if len(every):
            y[index], x[index] = divmod(int(rng.choice(every)), side)
    return y, x


def free_places(tables: Tables, mask: Bytes, degree: int) -> NDArray[np.bool_]:
    """Return at which pixels of a picture a first paddle would be free of others, (side, side)."""
    side, border = tables.settings.side, tables.border
    occupied = mask.reshape(tables.width, -1) > FREE
    hit = np.zeros((side, side), bool)
    for y, x in tables.seeds[degree].tolist():
        hit |= occupied[border + y : border + y + side, border + x : border + x + side]
    return ~hit


def _free_share(tables: Tables, masks: Bytes) -> NDArray[np.float64]:
    """Return how much of each picture is free."""
    inside = slice(tables.border, tables.border + tables.settings.side)
    squares = masks.reshape(-1, tables.width, tables.width)[:, inside, inside]
    share: NDArray[np.float64] = (squares <= FREE).mean((1, 2))
    return share
