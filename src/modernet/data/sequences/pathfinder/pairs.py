"""The two long snakes of each picture."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.sequences.pathfinder.growth import TRIALS, Canvases, Tips, blank, extend, first_tips, settle
from modernet.data.sequences.pathfinder.tables import DEGREES, Places, Tables

_CANVAS_BYTES = 2**24
"""Of all attempts that grow at once: many for few calls of numpy each, few for little waste at the end."""


class Pairs(NamedTuple):
    """Two long snakes in each of n pictures.

    Attributes:
        canvases: with both snakes, but without the last paddle of the first one, as published.
        kinds: of the paddles, (n, 2, length).
        places: of the paddles in the canvas, (n, 2, length). The first is where a snake begins, the last where it ends.
        attempts: how many a pair took, with those that had no room for a first paddle.
    """

    canvases: Canvases
    kinds: Places
    places: Places
    attempts: float


def draw_pairs(tables: Tables, n: int, rng: np.random.Generator) -> Pairs:
    """Draw pairs of snakes that grow in turn; a pair of which either cannot go on is thrown away.

    Many attempts grow at once, and one that ends makes room for a new one. All that succeed take the same number of
    steps, so the first n to end are a fair sample.
    """
    last = 2 * (tables.settings.contour_length - 1)
    pool = _Pool(tables, rng)
    found: list[tuple[Canvases, Places]] = []
    missing = n
    while missing > 0:
        whole = pool.step(last)
        if len(whole):
            missing -= len(whole)
            found.append((pool.canvases.copy(whole), pool.drawn[whole]))
        pool.restart()
    canvases = Canvases(*(np.concatenate(parts) for parts in zip(*(canvas for canvas, _ in found), strict=True)))
    drawn = np.concatenate([paddles for _, paddles in found])
    possible = float(tables.central.all(1).mean())
    ended = sum(pool.begun[:-last])  # with those that were whole in the last step, and none that may become so
    attempts = ended / len(drawn) / possible
    return Pairs(canvases.copy(np.arange(n)), drawn[:n, ..., 0], drawn[:n, ..., 1], attempts)


class _Pool:
    """Attempts that grow at once, each at a step of its own."""

    def __init__(self, tables: Tables, rng: np.random.Generator) -> None:
        self._tables, self._rng = tables, rng
        self._blank = blank(tables)
        rows = self._rows = np.arange(max(_CANVAS_BYTES // (2 * tables.area), 64))
        self.canvases = Canvases(*(np.repeat(canvas, len(rows), axis=0) for canvas in self._blank))
        self.drawn = np.empty((len(rows), 2, tables.settings.contour_length, 2), np.int64)  # kind and place
        self._tips = np.empty((4, 2, len(rows)), np.int64)
        self._steps = np.zeros(len(rows), np.int64)
        self._over = rows
        self.begun: list[int] = []  # how many, before each step
        self.restart()

    def step(self, last: int) -> Places:
        """Extend one snake of each attempt, and return the attempts whose last step this was."""
        rows, turn = self._rows, self._steps & 1
        kept, tips = extend(self._tables, self.canvases, rows, Tips(*self._tips[:, turn, rows]), self._rng)
        self._tips[:, turn[kept], kept] = tips
        self.drawn[kept, turn[kept], self._steps[kept] // 2 + 1] = np.stack(tips[2:], axis=1)
        self._steps[kept] += 1
        done = self._steps[kept] == last
        whole: Places = kept[done]
        settle(self._tables, self.canvases, whole, tips.take(done))
        goes_on = np.zeros(len(rows), bool)
        goes_on[kept[~done]] = True
        self._over = np.flatnonzero(~goes_on)
        return whole

    def restart(self) -> None:
        """Begin new attempts in place of those that are over."""
        over = self._over
        if not len(over):
            self.begun.append(0)
            return
        first, second, attempts = _first_paddles(self._tables, len(over), self._rng)
        self.begun.append(attempts)
        self.canvases.set(over, self._blank)
        self._tips[:, 0, over], self._tips[:, 1, over] = first, second
        self.drawn[over, 0, 0], self.drawn[over, 1, 0] = np.stack(first[2:], axis=1), np.stack(second[2:], axis=1)
        self._steps[over] = 0


def _first_paddles(tables: Tables, n: int, rng: np.random.Generator) -> tuple[Tips, Tips, int]:
    """Draw the first paddles of n pairs, and return how many pairs this took, of those whose first degree has room."""
    parts: list[tuple[Tips, Tips]] = []
    missing, attempts = n, 0
    while missing > 0:
        y, x, degree = _central(tables, missing, rng)
        first, inside = first_tips(tables, y, x, degree)
        second, beside = _beside(tables, y, x, rng)
        good = inside & beside
        attempts += missing
        missing -= int(good.sum())
        parts.append((first.take(good), second.take(good)))
    first, second = (
        Tips(*(np.concatenate(column) for column in zip(*tips, strict=True))) for tips in zip(*parts, strict=True)
    )
    return first, second, attempts


def _central(tables: Tables, n: int, rng: np.random.Generator) -> tuple[Places, Places, Places]:
    """Draw where first snakes begin, and their degree among those that have room."""
    possible = np.flatnonzero(tables.central.all(1))
    degree = possible[rng.integers(len(possible), size=n)]
    y, x = (tables.least[degree] + np.floor(tables.central[degree] * rng.random((n, 2)))).astype(np.int64).T
    return y, x, degree


def _beside(tables: Tables, y: Places, x: Places, rng: np.random.Generator) -> tuple[Tips, NDArray[np.bool_]]:
    """Draw where second snakes begin: at a distance from the first, in any direction, up to three times."""
    tips, inside = Tips(*np.zeros((4, len(y)), np.int64)), np.zeros(len(y), bool)
    for _ in range(TRIALS):
        angle = rng.integers(360, size=len(y)) * np.pi / 180
        degree = rng.integers(DEGREES, size=len(y))
        far_y, far_x = (
            np.round(place + tables.settings.seed_distance * wave(angle)).astype(np.int64)
            for place, wave in ((y, np.sin), (x, np.cos))
        )
        drawn, good = first_tips(tables, far_y, far_x, degree)
        tips = Tips(*(np.where(inside, old, new) for old, new in zip(tips, drawn, strict=True)))
        inside |= good
    return tips, inside
