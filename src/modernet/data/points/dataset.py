"""A data set of point clouds with three splits, and its batches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.points.inputs import PointInputs
from modernet.data.ragged import Ragged


@dataclass(frozen=True, eq=False)
class PointSplit:
    """Clouds and their classes, or those of their points.

    Attributes:
        clouds: float32 (total, channels), as they were read: x, y, z and what else each point has.
        labels: int64 (n,), the class of each cloud; where points have classes, the category of its shape, or 0.
        point_labels: int64 (total,), the class of each point; None where clouds have classes.
        names: where each cloud is from, for messages; empty if it was generated.
    """

    clouds: Ragged
    labels: NDArray[np.int64]
    point_labels: NDArray[np.int64] | None = None
    names: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class PointDataset:
    """Clouds with three distinct splits.

    Attributes:
        name: short, for tables and folders.
        classes: of clouds; where points have classes, those of points.
        inputs: what a network is shown.
        provenance: where the data is from, for records: generator, version and seed; or files and the digest of each.
        parts: where points have classes, those that each category of shape can have, by the category's name; a single
            entry where shapes have no category. Empty where clouds have classes.
        up: the axis that points up: clouds are turned about it.
        unreadable: names of what was skipped because it could not be read.
    """

    name: str
    train: PointSplit
    validation: PointSplit
    test: PointSplit
    classes: tuple[str, ...]
    inputs: PointInputs
    provenance: Mapping[str, Any]
    parts: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    up: int = 2
    unreadable: tuple[str, ...] = ()

    def summary(self) -> dict[str, Any]:
        """Return what belongs in a record: JSON-able, without the clouds; `classes` is a count."""
        return {
            "name": self.name,
            "classes": len(self.classes),
            "n_train": len(self.train),
            "n_validation": len(self.validation),
            "n_test": len(self.test),
            "points": self.inputs.points,
            "channels": self.inputs.channels,
            "median_points": int(np.median(self.train.clouds.lengths)),
            "categories": len(self.parts),
            "up": self.up,
            "provenance": dict(self.provenance),
            "unreadable": list(self.unreadable),
        }


class PointBatch(NamedTuple):
    """One micro-batch, on the device.

    Attributes:
        points: float32 (b, n, channels).
        targets: int64 (b,) of clouds, or (b, n) of points.
        categories: int64 (b,), of shapes whose parts are asked for; else zeros.
        positions: int64 (b,), on the CPU: index of each cloud in the split.
        counted: how many of the clouds count, as in `modernet.data.Batch`.
    """

    points: Tensor
    targets: Tensor
    categories: Tensor
    positions: Tensor
    counted: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What a network is called with: points, and where each has a class the category of its shape."""
        return (self.points,) if self.targets.ndim == 1 else (self.points, self.categories)
