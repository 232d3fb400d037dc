"""Which object each box is trained to find, and which boxes a loss is taken over."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import box_iou

BACKGROUND = -1
IGNORED = -2


def match(
    boxes: Tensor, objects: Tensor, *, positive: float, negative: float, low_quality: float | None = None
) -> Tensor:
    """Return the object of each box: int64 (n,), an index into `objects`, `BACKGROUND` or `IGNORED`.

    A box belongs to the object that it overlaps most, if their IoU is at least `positive`; below `negative` it is
    background. Then, with `low_quality`, each object also takes the boxes that overlap it most, if that IoU is at least
    `low_quality`; of several objects, the last one takes a box.

    Args:
        boxes: (n, 4), xyxy; may be empty ones.
        objects: (m, 4), xyxy, none of them empty.
    """
    if not len(objects):
        return boxes.new_full((len(boxes),), BACKGROUND, dtype=torch.int64)
    overlap: Tensor = box_iou(objects, boxes)  # m n
    best, matches = overlap.max(0)
    matches[best < positive] = IGNORED
    matches[best < negative] = BACKGROUND
    if low_quality is not None and len(boxes):
        highest = overlap.amax(1, keepdim=True)
        taken = (overlap == highest) & (highest >= low_quality)
        last = (taken * torch.arange(1, len(objects) + 1, device=boxes.device)[:, None]).amax(0)
        matches = torch.where(last > 0, last - 1, matches)
    return matches


def sample(matches: Tensor, number: int, positive_share: float) -> tuple[Tensor, Tensor]:
    """Draw boxes at random: positive ones up to a share of the number, background for the rest. Int64 indices of both.

    Random numbers are those of torch's generator of the device.
    """
    positive = _some(torch.nonzero(matches >= 0)[:, 0], int(number * positive_share))
    negative = _some(torch.nonzero(matches == BACKGROUND)[:, 0], number - len(positive))
    return positive, negative


def _some(indices: Tensor, number: int) -> Tensor:
    if len(indices) <= number:
        return indices
    return indices[torch.randperm(len(indices), device=indices.device)[:number]]
