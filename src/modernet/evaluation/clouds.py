"""Pictures of a few clouds of a split with what a network answers for them, small enough for a record."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import PurePath
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.points.dataset import PointBatch, PointSplit
from modernet.evaluation.misses import small_jpeg
from modernet.points.drawing import draw_classes, draw_cloud, hex_colours
from modernet.processes import ALONE, Processes

_MOST = 20
_MOST_OF_A_CLASS = 3


class Clouds:
    """Draw the first clouds of each class of a split, whatever is answered for them.

    Args:
        split: that is evaluated.
        classes: of clouds; or of points, where they have classes.
        up: the axis that points up.
    """

    def __init__(self, split: PointSplit, classes: Sequence[str], up: int) -> None:
        self._split, self._classes, self._up = split, classes, up
        self._wanted = _first_of_each(split.labels)
        self._drawn: dict[int, dict[str, str]] = {}

    def add_classified(self, batch: PointBatch, predicted: Tensor) -> None:
        """Draw those of a batch by depth; predicted are the classes of those that count, int64 (b,)."""
        for row, position in self._rows(batch):
            true, found = (self._classes[int(each[row])] for each in (batch.targets, predicted))
            why = true if true == found else f"{true}, taken for {found}"
            self._keep(position, why, draw_cloud(_array(batch.points[row]), self._up))

    def add_segmented(self, batch: PointBatch, predicted: Tensor, ious: Tensor) -> None:
        """Draw those of a batch by true and by predicted classes of their points.

        Args:
            predicted: int64 (b, n), of those that count.
            ious: float (b,), the mean IoU of each, in [0, 1].
        """
        for row, position in self._rows(batch):
            right = 100 * float((predicted[row] == batch.targets[row]).double().mean())
            why = f"{right:.0f} % of the points right, mean IoU {100 * float(ious[row]):.0f} %"
            points, truth, found = (_array(each[row]) for each in (batch.points, batch.targets, predicted))
            self._keep(position, why, draw_classes(points, self._up, truth, found, len(self._classes)))

    def gather(self, processes: Processes = ALONE) -> dict[str, Any]:
        """Return the pictures of all processes for a record's `details`, in the order of the split; with the colours of
        the classes, where points have classes.
        """
        found = sorted(chain.from_iterable(processes.gather(list(self._drawn.items()))))
        of_points = self._split.point_labels is not None
        names = list(map(str, self._classes)) if of_points else []
        return {
            "pictures": [entry for _, entry in found],
            "colours": [list(pair) for pair in zip(names, hex_colours(len(names)), strict=True)],
        }

    def _rows(self, batch: PointBatch) -> list[tuple[int, int]]:
        positions = batch.positions[: batch.counted].tolist()
        return [(row, position) for row, position in enumerate(positions) if position in self._wanted]

    def _keep(self, position: int, why: str, drawing: NDArray[np.uint8]) -> None:
        split = self._split
        parts = PurePath(split.names[position]).parts[-2:] if split.names else (f"cloud {position}",)
        jpeg = small_jpeg(torch.from_numpy(drawing.copy()).permute(2, 0, 1))  # h w c -> c h w
        self._drawn[position] = {"image": "/".join(parts), "why": why, "jpeg": jpeg}


def _array(values: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = values.cpu().numpy()
    return array


def _first_of_each(labels: NDArray[np.int64]) -> set[int]:
    """Return the positions of the first few of each class, about as many of each."""
    occurring = np.unique(labels)
    each = min(max(_MOST // len(occurring), 1), _MOST_OF_A_CLASS)
    firsts = [np.flatnonzero(labels == label)[:each].tolist() for label in occurring]
    return {position for positions in firsts[:_MOST] for position in positions}
