"""The boxes that the heads of a stage learn from."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from modernet.data.targets import InstanceMasks
from modernet.detection.matching import match, sample

_POSITIVE_SHARE = 0.25


class Objects(NamedTuple):
    """The m objects of an image.

    Attributes:
        boxes: (m, 4), xyxy in pixels, none of them empty.
        labels: int64 (m,)
        masks: None where they are not known.
    """

    boxes: Tensor
    labels: Tensor
    masks: InstanceMasks | None


class Sample(NamedTuple):
    """Boxes of an image, the p positive ones first.

    Attributes:
        boxes: (n, 4), xyxy.
        labels: int64 (n,), the number of classes for the background.
        objects: int64 (p,), the object of each positive box.
        given: bool (n,), whether a box is that of an object itself and no proposal.
    """

    boxes: Tensor
    labels: Tensor
    objects: Tensor
    given: Tensor


def sample_boxes(
    proposals: Tensor, objects: Objects, *, background: int, iou: float, low_quality: bool, number: int
) -> Sample:
    """Draw boxes of an image, or take all where there are fewer; at most a quarter of them positive.

    The objects' own boxes join the proposals.

    Args:
        proposals: (n, 4), xyxy.
        background: the label of what is no object.
        iou: from which a proposal is positive; below, it is background.
        number: of boxes to draw.
        low_quality: let each object also take the proposals that overlap it most, if their IoU is at least `iou`.
    """
    found = match(proposals, objects.boxes, positive=iou, negative=iou, low_quality=iou if low_quality else None)
    own = torch.arange(len(objects.boxes), device=found.device)
    matches, boxes = torch.cat((own, found)), torch.cat((objects.boxes.to(proposals.dtype), proposals))
    positive, negative = sample(matches, number, _POSITIVE_SHARE)
    chosen, of_object = torch.cat((positive, negative)), matches[positive]
    labels = torch.cat((objects.labels[of_object], torch.full_like(negative, background)))
    return Sample(boxes[chosen], labels, of_object, chosen < len(own))
