"""Surfaces made of triangles, and points on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


class Surface(NamedTuple):
    """Triangles, each of a part.

    Attributes:
        triangles: float64 (m, 3, 3): triangle, corner, coordinate.
        parts: int64 (m,).
    """

    triangles: Array
    parts: NDArray[np.int64]

    def moved(self, by: ArrayLike = 0.0, scale: ArrayLike = 1.0, turn: Array | None = None) -> Surface:
        """Scale along the axes, turn by a matrix (3, 3), then move."""
        corners = self.triangles * np.asarray(scale)
        return self._replace(triangles=(corners if turn is None else corners @ turn.T) + np.asarray(by))


def joined(surfaces: Sequence[Surface]) -> Surface:
    """Put surfaces together."""
    return Surface(
        np.concatenate([each.triangles for each in surfaces]), np.concatenate([each.parts for each in surfaces])
    )


def revolved(
    profile: ArrayLike,
    parts: int | Sequence[int] = 0,
    *,
    sides: int = 48,
    start: float = 0.0,
    sweep: float = 2 * math.pi,
) -> Surface:
    """Revolve a line about the z axis.

    Args:
        profile: (k, 2), the radius and the height of each of its corners.
        parts: of what each of its k - 1 pieces makes, or of all.
        sides: flat faces around the axis; 48 are as good as round.
        start: angle at which it begins, in radians.
        sweep: angle that it covers.
    """
    radius, height = np.asarray(profile, dtype=np.float64).T[:, :, None]
    angles = start + np.linspace(0, sweep, sides + 1)
    grid = np.stack(
        np.broadcast_arrays(radius * np.cos(angles), radius * np.sin(angles), height), -1
    )  # k, sides + 1, 3
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    faces = np.stack([np.stack([a, b, c], -2), np.stack([a, c, d], -2)], 2)  # pieces, sides, 2, corners, 3
    of_pieces = np.broadcast_to(np.asarray(parts, dtype=np.int64), len(faces))
    return Surface(faces.reshape(-1, 3, 3), np.repeat(of_pieces, 2 * sides))


def areas(triangles: Array) -> Array:
    """Return the area of each triangle: float64 (m, 3, 3) -> (m,)."""
    a, b, c = np.moveaxis(triangles, 1, 0)
    of_each: Array = np.linalg.norm(np.cross(b - a, c - a), axis=1) / 2
    return of_each


def on_triangles(triangles: Array, n: int, rng: np.random.Generator) -> tuple[Array, NDArray[np.int64]]:
    """Draw points that are evenly distributed over triangles.

    Args:
        triangles: float64 (m, 3, 3), of an area above 0 together.

    Returns:
        The points, float64 (n, 3), and the triangle of each, int64 (n,).
    """
    ends = np.cumsum(areas(triangles))
    of = np.searchsorted(ends, rng.random(n) * ends[-1], side="right").clip(max=len(ends) - 1)
    u, v = rng.random((2, n))
    beyond = u + v > 1  # in the other half of the parallelogram
    u, v = np.where(beyond, 1 - u, u)[:, None], np.where(beyond, 1 - v, v)[:, None]
    a, b, c = np.moveaxis(triangles[of], 1, 0)
    return a + u * (b - a) + v * (c - a), of
