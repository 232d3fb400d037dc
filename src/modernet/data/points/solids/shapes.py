"""Solids of random proportions, one of a class each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from modernet.data.points.surfaces import Surface, revolved

_ROUND = 24  # pieces of half a circle
_CORNER = math.pi / 4  # of a square: its sides are then along the axes


def _arc(start: float, end: float, radius: float = 1.0, at: tuple[float, float] = (0.0, 0.0)) -> NDArray[np.float64]:
    """Return a profile: part of a circle, from one angle below the horizontal to another."""
    angles = np.linspace(start, end, 1 + round(_ROUND * (end - start) / math.pi))
    return np.stack([at[0] + radius * np.cos(angles), at[1] + radius * np.sin(angles)], 1)


def closed(radius: float, low: float, high: float) -> list[tuple[float, float]]:
    """Return the profile of a cylinder with its bottom and its top."""
    return [(0, low), (radius, low), (radius, high), (0, high)]


def _standing(surface: Surface, rng: np.random.Generator) -> Surface:
    """Scale to a random height and width."""
    return surface.moved(scale=(1, rng.uniform(0.7, 1), rng.uniform(0.6, 1.6)))


def _ball(rng: np.random.Generator) -> Surface:
    return _standing(revolved(_arc(-math.pi / 2, math.pi / 2)), rng)


def _bowl(rng: np.random.Generator) -> Surface:
    return _standing(revolved(_arc(-math.pi / 2, rng.uniform(-0.3, 0.1))), rng)


def _box(rng: np.random.Generator) -> Surface:
    return _standing(revolved(closed(1, -1, 1), sides=4, start=_CORNER), rng)


def _capsule(rng: np.random.Generator) -> Surface:
    half = rng.uniform(0.5, 1.2)
    ends = _arc(-math.pi / 2, 0, at=(0, -half)), _arc(0, math.pi / 2, at=(0, half))
    return revolved(np.concatenate(ends)).moved(scale=(1, rng.uniform(0.7, 1), 1))


def _cone(rng: np.random.Generator) -> Surface:
    return _standing(revolved([(0, -1), (1, -1), (0, 1)]), rng)


def _cylinder(rng: np.random.Generator) -> Surface:
    return _standing(revolved(closed(1, -1, 1)), rng)


def _prism(rng: np.random.Generator) -> Surface:
    return _standing(revolved(closed(1, -1, 1), sides=3), rng)


def _pyramid(rng: np.random.Generator) -> Surface:
    return _standing(revolved([(0, -1), (1, -1), (0, 1)], sides=4, start=_CORNER), rng)


def _ring(rng: np.random.Generator) -> Surface:
    thickness = rng.uniform(0.2, 0.45)
    return _standing(revolved(_arc(0, 2 * math.pi, thickness, at=(1, 0))), rng)


def _tube(rng: np.random.Generator) -> Surface:
    return _standing(revolved([(1, -1), (1, 1)]), rng)


SHAPES: Mapping[str, Callable[[np.random.Generator], Surface]] = {
    "ball": _ball,
    "bowl": _bowl,
    "box": _box,
    "capsule": _capsule,
    "cone": _cone,
    "cylinder": _cylinder,
    "prism": _prism,
    "pyramid": _pyramid,
    "ring": _ring,
    "tube": _tube,
}
"""What draws a solid of each class; a tube is open at both ends, a bowl at the top."""
