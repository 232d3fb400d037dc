"""Single point clouds, as files have them, and what is wrong with those that cannot be used."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MOST_CLASSES = 10_000
"""Numbers of classes, from 0; what is beyond is no class, but an identity, a time or damage."""
_LARGEST = 1e15  # coordinate: larger ones mark what a scanner has not seen, and their squares would overflow
_FAR = 100  # times as far from 0 as a cloud is large: float32 then has steps of 1e-5 of its size


class UnreadableCloud(Exception):
    """A cloud that cannot be used; the message says why, after its name: "has no points"."""


@dataclass(frozen=True, eq=False)
class Cloud:
    """The points of a file, or of a row of an array.

    Attributes:
        points: float32 (n, channels).
        labels: int64 (n,), the class of each point, or None.
        origin: float64 (3,), what was subtracted from the coordinates that the file has; None: nothing.
    """

    points: NDArray[np.float32]
    labels: NDArray[np.int64] | None = None
    origin: NDArray[np.float64] | None = None

    def in_order(self, order: NDArray[np.int64]) -> Cloud:
        """Return some of its points, in another order."""
        return Cloud(self.points[order], None if self.labels is None else self.labels[order], self.origin)


def checked(points: NDArray[np.generic], labels: NDArray[np.generic] | None = None) -> Cloud:
    """Return a cloud of what a file has.

    Coordinates that float32 would blur, such as those of a map, are given relative to the middle of the cloud.

    Raises:
        UnreadableCloud: it is no table of at least three columns of finite numbers, it is empty, or a label is no
            class.
    """
    if points.ndim != 2:
        raise UnreadableCloud(f"has an array of shape {points.shape}, not (points, 3 or more)")
    if not len(points):
        raise UnreadableCloud("has no points")
    if points.shape[1] < 3:
        raise UnreadableCloud(f"has {points.shape[1]} numbers a point, and a point has at least x, y and z")
    if points.dtype.kind not in "iuf":
        raise UnreadableCloud(f"has {points.dtype}, which are no numbers")
    with np.errstate(over="ignore"):  # numbers beyond float32 become infinite, and are reported
        numbers = np.ascontiguousarray(points, dtype=np.float32)
    broken = len(numbers) - np.isfinite(numbers).all(1).sum()
    if broken:
        raise UnreadableCloud(f"has {broken} of {len(numbers)} points that are not finite")
    largest = np.abs(numbers[:, :3]).max()
    if largest > _LARGEST:
        raise UnreadableCloud(f"has coordinates up to {largest:.3g}, which are no places")
    origin = _origin(points)
    if origin is not None:
        numbers[:, :3] = np.asarray(points[:, :3], dtype=np.float64) - origin
    return Cloud(numbers, None if labels is None else _checked_labels(labels, len(numbers)), origin)


def _origin(points: NDArray[np.generic]) -> NDArray[np.float64] | None:
    """Return the middle of a cloud that is far from 0 for its size; None where float32 has its points as they are."""
    if np.can_cast(points.dtype, np.float32):
        return None
    xyz = np.asarray(points[:, :3], dtype=np.float64)
    low, high = xyz.min(0), xyz.max(0)
    middle: NDArray[np.float64] = (low + high) / 2
    size = (high - low).max() / 2
    return middle if 0 < _FAR * size < np.abs(middle).max() else None


def _checked_labels(labels: NDArray[np.generic], n: int) -> NDArray[np.int64]:
    if labels.shape != (n,):
        raise UnreadableCloud(f"has labels of shape {labels.shape} for {n} points")
    whole = np.asarray(labels, dtype=np.float64)
    if not (np.isfinite(whole).all() and (whole == np.round(whole)).all() and whole.min() >= 0):
        raise UnreadableCloud("has labels that are no numbers of classes, 0 and above")
    if whole.max() >= MOST_CLASSES:
        raise UnreadableCloud(f"has the label {whole.max():.0f}; number classes from 0, below {MOST_CLASSES:,}")
    return whole.astype(np.int64)


def shuffled_once(n: int) -> NDArray[np.int64]:
    """Return an order of n points that is as good as random, and always the same: files have them as they were
    scanned, so that the first of them would be one side.
    """
    return np.random.default_rng(0).permutation(n)
