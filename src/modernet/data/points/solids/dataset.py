"""The data sets `solids` and `solids-parts`: as they would be measured, turned, leaning, noisy and partly hidden."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.points.dataset import PointDataset, PointSplit
from modernet.data.points.inputs import PointInputs
from modernet.data.points.solids.objects import OBJECTS
from modernet.data.points.solids.shapes import SHAPES
from modernet.data.points.surfaces import Surface, on_triangles
from modernet.data.points.turning import turning
from modernet.data.ragged import Ragged

VERSION = 1
"""Changes with everything that changes the clouds of a seed."""
POINTS = 2048
"""Of each cloud."""

_SHAPES, _OBJECTS = (2000, 400, 400), (1000, 200, 200)
_LEAN = math.radians(15)
_HIDDEN = 0.2  # at most, of the points: those that lie furthest in some direction
_NOISE = 0.01  # standard deviation, relative to the largest radius
_Draw = Callable[[np.random.Generator], Surface]


class _Cloud(NamedTuple):
    points: NDArray[np.float32]
    parts: NDArray[np.int64]


def solids_dataset(
    *, parts: bool = False, points: int = 1024, seed: int = 0, sizes: tuple[int, int, int] | None = None
) -> PointDataset:
    """Generate solids of ten classes, or objects of five categories with a class for each point.

    Their proportions are random, and z points up. Each is sampled by area, turned by any angle about z, leans by up to
    15 degrees, has noise of 1 % of its radius, and lacks up to a fifth of its points on one side. Classes are equally
    frequent.

    Args:
        parts: whether points have classes.
        points: that a network is shown, of 2,048.
        seed: of the clouds.
        sizes: clouds for training, validation and test; 2,000, 400 and 400, or half as many with parts.
    """
    draws: Sequence[_Draw] = [draw for draw, _ in OBJECTS.values()] if parts else list(SHAPES.values())
    counts = [len(names) for _, names in OBJECTS.values()] if parts else [0] * len(SHAPES)
    first_parts = np.cumsum([0, *counts])
    splits = []
    for split, n in enumerate(sizes or (_OBJECTS if parts else _SHAPES)):
        labels = np.arange(n) % len(draws)
        clouds = [_cloud(draws[label], [seed % 2**63, split, index]) for index, label in enumerate(labels.tolist())]
        of_points = None
        if parts:
            of_points = np.concatenate(
                [first + cloud.parts for first, cloud in zip(first_parts[labels], clouds, strict=True)]
            )
        splits.append(PointSplit(Ragged.of(cloud.points for cloud in clouds), labels, of_points))
    train, validation, test = splits
    ranges = zip(OBJECTS, first_parts[:-1].tolist(), first_parts[1:].tolist(), strict=True) if parts else ()
    return PointDataset(
        "solids-parts" if parts else "solids",
        train,
        validation,
        test,
        tuple(f"{name} {part}" for name, (_, names) in OBJECTS.items() for part in names) if parts else tuple(SHAPES),
        PointInputs(points, categories=len(OBJECTS) if parts else 0),
        {"generator": f"solids {VERSION}", "parts": parts, "seed": seed},
        {name: tuple(range(first, end)) for name, first, end in ranges},
    )


def _cloud(draw: _Draw, seed: list[int]) -> _Cloud:
    """Draw an object, and points on it as they would be measured."""
    rng = np.random.default_rng(seed)
    surface = draw(rng)
    hidden, direction = rng.uniform(0, _HIDDEN), rng.normal(size=3)
    points, triangles = on_triangles(surface.triangles, round(POINTS / (1 - hidden)), rng)
    seen = np.sort(np.argpartition(points @ direction, POINTS - 1)[:POINTS])  # in random order, as they were drawn
    points = points[seen] - points[seen].mean(0)
    radius = np.linalg.norm(points, axis=1).max()
    axis, lean, turn = rng.uniform(0, 2 * math.pi), rng.uniform(0, _LEAN), rng.uniform(0, 2 * math.pi)
    leaning = turning(2, axis) @ turning(0, lean) @ turning(2, turn)
    noisy = points @ leaning.T + _NOISE * radius * rng.normal(size=points.shape)
    return _Cloud(noisy.astype(np.float32), surface.parts[triangles[seen]])
