"""Turns about the coordinate axes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray


def turning(axis: int, angles: ArrayLike) -> NDArray[np.float64]:
    """Return the matrices (..., 3, 3) that turn columns about an axis by angles (...) in radians; about z, x to y."""
    cos, sin = np.cos(angles), np.sin(angles)
    first, second = (axis + 1) % 3, (axis + 2) % 3
    matrices = np.zeros((*np.shape(angles), 3, 3))
    matrices[..., axis, axis] = 1
    matrices[..., first, first] = matrices[..., second, second] = cos
    matrices[..., second, first] = sin
    matrices[..., first, second] = -sin
    return matrices
