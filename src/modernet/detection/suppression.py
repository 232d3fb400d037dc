"""Non-maximum suppression as a mask, which has one shape whatever is in an image."""

from __future__ import annotations

import torch
from torch import Tensor
from torchvision.ops import nms


def survivors(boxes: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Return which boxes do not overlap a better survivor by more than an IoU, bool (n,).

    Args:
        boxes: (n, 4), xyxy, without negative coordinates.
        scores: (n,)
    """
    # two more boxes that always survive: torch.export takes torchvision's nms to return two indices or more
    far = boxes.new_tensor([[-2, -2, -1, -1], [-4, -4, -3, -3]])
    all_scores = torch.cat((scores, scores.new_full((2,), -1)))
    kept = nms(torch.cat((boxes, far)), all_scores, iou)
    return torch.zeros_like(all_scores, dtype=torch.bool).scatter(0, kept, True)[:-2]
