"""A detector whose results have one shape whatever is in the image, for files that other programs run."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from modernet.detection.detections import LEAST_SCORE, MOST_DETECTIONS, NMS_IOU
from modernet.detection.network import CANDIDATES, PROPOSALS, RCNN
from modernet.detection.region_proposals import ranked_proposals
from modernet.detection.suppression import survivors

_COMPETING = 1000


class FixedResults(nn.Module):
    """The 100 best objects of one image, as tensors; traceable, since no number in Python depends on the image.

    Rows with a score above 0.05 are the detections of `network`. The others, of less likely objects, fill the 100, and
    those with a score of 0 are nothing at all. Classes are kept apart in non-maximum suppression by shifting their
    boxes, as OpenMMLab does: in float32 that moves an IoU of boxes in large images by up to 1e-4.
    """

    def __init__(self, network: RCNN) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> tuple[Tensor, ...]:
        """Return boxes `(100, 4)` as xyxy in pixels, scores `(100,)`, labels `(100,)`, best first.

        With mask heads also masks `(100, 28, 28)`, probabilities within the boxes. All have fewer rows where a small
        image has less than 100 pairs of a proposal and a class.

        Args:
            images: one normalized image, (1, 3, h, w).
        """
        heads, size = self.network.roi_heads, (images.shape[2], images.shape[3])
        maps = self.network.padded_levels(images)
        predicted = self.network.rpn_head(maps)
        proposals, ranks = ranked_proposals(predicted, 0, size, candidates=CANDIDATES, kept=PROPOSALS)
        (boxes,), (logits,) = heads.classify(maps[:4], [proposals], [size])
        boxes, scores, labels = _best(boxes, logits.softmax(1)[:, :-1] * (ranks >= 0)[:, None])
        return (boxes, scores, labels, *([heads.masks(maps[:4], [boxes], labels)] if heads.mask_heads else []))


def _best(boxes: Tensor, probabilities: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return boxes, scores and labels of the best pairs of a box and a class that survive suppression.

    Those above 0.05 compete, and no fewer than the best thousand: a pair never suppresses a better one, so the less
    likely ones change nothing for the others.

    Args:
        boxes: (n, k, 4), xyxy, for each class.
        probabilities: (n, k)
    """
    classes = probabilities.shape[1]
    flat_boxes, scores = boxes.reshape(-1, 4), probabilities.flatten()
    least = scores.topk(min(_COMPETING, len(scores))).values[-1].clamp(max=LEAST_SCORE)
    competing = torch.nonzero(scores > least)[:, 0]
    candidates = flat_boxes[competing]
    shifts = (competing % classes).to(boxes) * (flat_boxes.max() + 1)
    survive = survivors(candidates + shifts[:, None], scores[competing], NMS_IOU)
    survives = torch.zeros_like(scores, dtype=torch.bool).index_copy(0, competing, survive)
    best, chosen = (scores * survives).topk(min(MOST_DETECTIONS, len(scores)))
    return flat_boxes[chosen], best, chosen % classes
