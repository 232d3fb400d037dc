"""Objects that are put together from solids, each of which is a part."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from itertools import product

import numpy as np

from modernet.data.points.solids.shapes import closed
from modernet.data.points.surfaces import Surface, joined, revolved
from modernet.data.points.turning import turning


def _block(part: int, size: tuple[float, float, float], centre: tuple[float, float, float]) -> Surface:
    square = revolved(closed(math.sqrt(0.5), -0.5, 0.5), part, sides=4, start=math.pi / 4)  # a cube of side 1
    return square.moved(scale=size, by=centre)


def _legs(part: int, width: float, depth: float, thickness: float, length: float) -> Surface:
    """Return four legs below z = 0, at the corners."""
    x, y = (width - thickness) / 2, (depth - thickness) / 2
    corners = product((-x, x), (-y, y))
    return joined([_block(part, (thickness, thickness, length), (*corner, -length / 2)) for corner in corners])


def _chair(rng: np.random.Generator) -> Surface:
    width, depth, thickness = rng.uniform(0.8, 1.2), rng.uniform(0.8, 1.1), rng.uniform(0.08, 0.15)
    high = rng.uniform(0.7, 1.2)
    seat = _block(0, (width, depth, thickness), (0, 0, thickness / 2))
    back = _block(1, (width, thickness, high), (0, (thickness - depth) / 2, thickness + high / 2))
    return joined([seat, back, _legs(2, width, depth, thickness, rng.uniform(0.6, 1))])


def _lamp(rng: np.random.Generator) -> Surface:
    foot, high = rng.uniform(0.05, 0.15), rng.uniform(0.9, 1.4)
    wide, shade = rng.uniform(0.35, 0.55), rng.uniform(0.3, 0.5)
    base = revolved(closed(rng.uniform(0.3, 0.45), 0, foot), 0)
    pole = revolved([(0.05, foot), (0.05, high)], 1)
    return joined(
        [base, pole, revolved([(wide, high - shade / 2), (wide * rng.uniform(0.4, 0.8), high + shade / 2)], 2)]
    )


def _mug(rng: np.random.Generator) -> Surface:
    radius, high = rng.uniform(0.4, 0.6), rng.uniform(0.9, 1.4)
    body = revolved([(0, 0), (radius, 0), (radius, high)], 0)
    angles = np.linspace(0, 2 * math.pi, 13)
    wide, thick = rng.uniform(0.22, 0.32) * high, rng.uniform(0.06, 0.1)
    profile = np.stack([wide + thick * np.cos(angles), thick * np.sin(angles)], 1)
    handle = revolved(profile, 1, sides=24, start=-math.pi / 2, sweep=math.pi)  # half a ring, flat
    return joined([body, handle.moved(turn=turning(0, math.pi / 2), by=(radius, 0, high / 2))])


def _rocket(rng: np.random.Generator) -> Surface:
    radius, high, nose = rng.uniform(0.18, 0.28), rng.uniform(1.0, 1.6), rng.uniform(0.3, 0.6)
    body = revolved([(0, 0), (radius, 0), (radius, high)], 0)
    tip = revolved([(radius, high), (0, high + nose)], 1)
    wide, tall = rng.uniform(0.25, 0.4), rng.uniform(0.25, 0.45)
    fin = _block(2, (wide, 0.04, tall), (radius + wide / 2, 0, tall / 2))
    fins = int(rng.integers(3, 5))
    return joined([body, tip, *(fin.moved(turn=turning(2, 2 * math.pi * number / fins)) for number in range(fins))])


def _table(rng: np.random.Generator) -> Surface:
    width, depth, thickness = rng.uniform(1.2, 1.8), rng.uniform(0.8, 1.2), rng.uniform(0.08, 0.15)
    length = rng.uniform(0.6, 1)
    top = _block(0, (width, depth, thickness), (0, 0, thickness / 2))
    if rng.random() < 0.3:
        return joined([top, revolved([(0.4, -length), (0.1, 0.05 - length), (0.1, 0)], 1)])  # one leg, with a foot
    return joined([top, _legs(1, width, depth, thickness, length)])


OBJECTS: Mapping[str, tuple[Callable[[np.random.Generator], Surface], tuple[str, ...]]] = {
    "chair": (_chair, ("seat", "back", "legs")),
    "lamp": (_lamp, ("base", "pole", "shade")),
    "mug": (_mug, ("body", "handle")),
    "rocket": (_rocket, ("body", "nose", "fins")),
    "table": (_table, ("top", "legs")),
}
"""What draws an object of each category, and the names of its parts, numbered in this order."""
