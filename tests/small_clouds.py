"""Small tasks on point clouds: is it a disc or a rod, and which half of it is up?"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modernet.data.points.dataset import PointDataset, PointSplit
from modernet.data.points.inputs import PointInputs
from modernet.data.ragged import Ragged
from modernet.weights import NetworkSpec

SPEC = NetworkSpec("points", "ascn", {"key_widths": (8, 8), "value_widths": (16, 16), "heads": 2})
FIELDS = ["key_widths=(8,8)", "value_widths=(16,16)", "heads=2"]
"""The same for the command line."""
POINTS = 24
PARTS = {"disc": (0, 1), "rod": (2, 3)}


def cloud(number: int, seed: int, points: int = 40) -> NDArray[np.float32]:
    """Return a disc in the plane x, y; or a rod along z, if the number is odd."""
    rng = np.random.default_rng([seed, number])
    spread = (0.05, 0.05, 1.0) if number % 2 else (1.0, 1.0, 0.05)
    return (rng.uniform(-1, 1, (points, 3)) * spread).astype(np.float32)


def split(n: int, seed: int, *, parts: bool = False) -> PointSplit:
    clouds = [cloud(number, seed) for number in range(n)]
    labels = np.arange(n) % 2
    halves = [2 * (number % 2) + (points[:, 2] > points[:, 2].mean()) for number, points in enumerate(clouds)]
    return PointSplit(Ragged.of(clouds), labels, np.concatenate(halves).astype(np.int64) if parts else None)


def dataset(*, parts: bool = False) -> PointDataset:
    """Return clouds with a class each, or with one for each point."""
    return PointDataset(
        name="discs and rods",
        train=split(48, 1, parts=parts),
        validation=split(10, 2, parts=parts),
        test=split(14, 3, parts=parts),
        classes=("disc below", "disc above", "rod below", "rod above") if parts else ("disc", "rod"),
        inputs=PointInputs(POINTS, categories=2 if parts else 0),
        provenance={"generator": "small_clouds"},
        parts=PARTS if parts else {},
    )


def write_clouds(folder: Path, n: int = 60) -> Path:
    """Write a folder of classes, a file of text each cloud."""
    for number in range(n):
        of_class = folder / ("rod" if number % 2 else "disc")
        of_class.mkdir(parents=True, exist_ok=True)
        np.savetxt(of_class / f"{number}.xyz", cloud(number, 4), "%.4f")
    return folder
