"""Boxes as offsets from other boxes, which is what the heads predict."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from modernet.preparation import Size

_LARGEST_CHANGE = math.log(1000 / 16)  # of the logarithm of a side


@dataclass(frozen=True)
class BoxCoder:
    """Offsets `(dx, dy, dw, dh)`: shift of the center in sides of the box, and logarithm of the factor of each side.

    Girshick et al. 2014, appendix C; each is divided by a standard deviation.
    """

    stds: tuple[float, float, float, float] = (1.0, 1.0, 1.0, 1.0)

    def encode(self, boxes: Tensor, targets: Tensor) -> Tensor:
        """Return the offsets `(..., 4)` that take boxes to targets, both `(..., 4)` as xyxy and not empty."""
        center, sides = _center_and_sides(boxes)
        target_center, target_sides = _center_and_sides(targets)
        offsets = torch.cat(((target_center - center) / sides, (target_sides / sides).log()), -1)
        return offsets / offsets.new_tensor(self.stds)

    def decode(self, boxes: Tensor, offsets: Tensor) -> Tensor:
        """Return the boxes `(..., 4)` that offsets lead to. A side changes by a factor of at most 62.5 either way.

        Args:
            boxes: (..., 4), xyxy; broadcast against the offsets.
            offsets: (..., 4)
        """
        shift, change = (offsets * offsets.new_tensor(self.stds)).tensor_split(2, -1)
        center, sides = _center_and_sides(boxes)
        center = center + sides * shift
        half = sides * change.clamp(-_LARGEST_CHANGE, _LARGEST_CHANGE).exp() / 2
        return torch.cat((center - half, center + half), -1)


def clip(boxes: Tensor, size: Size) -> Tensor:
    """Move the coordinates of boxes `(..., 4)` into an image of a height and width; a box outside becomes empty."""
    height, width = size
    return boxes.clamp(min=0).minimum(boxes.new_tensor((width, height, width, height)))


def _center_and_sides(boxes: Tensor) -> tuple[Tensor, Tensor]:
    first, last = boxes.tensor_split(2, -1)
    return (first + last) / 2, last - first
