"""What was found in an image, paired with what is there: right, confused, missed, or a false alarm."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from faster_coco_eval.core import mask as coco_mask
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.targets import BoxTargets
from modernet.detection.detections import Detections

SURE_SCORE = 0.25
SAME_IOU = 0.5

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Pairs(NamedTuple):
    """Indices of detections and of objects.

    Attributes:
        found: what counts as found, best first.
        taken: the object that each of these takes; -1 for a false alarm.
        missed: the objects that none takes, without crowds.
    """

    found: Ints
    taken: Ints
    missed: Ints


def pair(found: Detections, truth: BoxTargets) -> Pairs:
    """Pair detections with the objects of an image, whatever their classes.

    What was found counts from a score of 0.25 on. From the best score down, each takes the object that it overlaps most
    among those that are not taken, if their IoU is at least 0.5. A crowd is no object, and what takes none and has at
    least half its area in a crowd of its class does not count.

    Args:
        found: in pixels of the image.
        truth: of this one image, in its pixels.
    """
    scores, labels = found.scores.double().cpu().numpy(), found.labels.cpu().numpy()
    true_labels, crowd = truth.labels.cpu().numpy(), truth.crowd.cpu().numpy()
    order = np.argsort(-scores, kind="stable")
    order = order[scores[order] >= SURE_SCORE]
    overlaps = np.zeros((len(order), len(crowd)))
    if overlaps.size:
        boxes, true_boxes = xywh(found.boxes_xyxy)[order], xywh(truth.boxes_xyxy)
        overlaps = coco_mask.iou(boxes, true_boxes, crowd.astype(int).tolist())
    free = ~crowd
    pairs = []
    for index, row in zip(order.tolist(), overlaps, strict=True):
        best = int(np.where(free, row, 0).argmax()) if len(row) else 0
        if len(row) and free[best] and row[best] >= SAME_IOU:
            free[best] = False
            pairs.append((index, best))
        elif not (row[crowd & (true_labels == labels[index])] >= SAME_IOU).any():
            pairs.append((index, -1))
    both = np.array(pairs, dtype=np.int64).reshape(-1, 2)
    return Pairs(both[:, 0], both[:, 1], np.flatnonzero(free))


def xywh(boxes_xyxy: Tensor) -> Floats:
    """Return boxes (n, 4) as COCO has them: left, top, width, height."""
    corners = boxes_xyxy.double().cpu().numpy()
    return np.concatenate((corners[:, :2], corners[:, 2:] - corners[:, :2]), 1)
