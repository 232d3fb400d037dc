"""What was found in an image."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torchvision.ops import batched_nms

from modernet.data.images.rle import Rle
from modernet.detection.pasting import encode_window, paste, paste_window
from modernet.preparation import Size

LEAST_SCORE = 0.05
MOST_DETECTIONS = 100
NMS_IOU = 0.5


@dataclass(frozen=True, eq=False)
class Detections:
    """The n objects found in an image, best first.

    Attributes:
        boxes_xyxy: (n, 4), in pixels.
        scores: (n,), in (0.05, 1].
        labels: int64 (n,), from 0.
        masks: (n, 28, 28), probability at each position of a box that it is the object; None without a mask head.
    """

    boxes_xyxy: Tensor
    scores: Tensor
    labels: Tensor
    masks: Tensor | None = None

    def __len__(self) -> int:
        return len(self.scores)

    def take(self, chosen: Tensor) -> Detections:
        """Return some of them: bool (n,) or int64."""
        masks = None if self.masks is None else self.masks[chosen]
        return Detections(self.boxes_xyxy[chosen], self.scores[chosen], self.labels[chosen], masks)

    def resized(self, size: Size, to: Size) -> Detections:
        """Return them in pixels of the original image, of size `to`, that the network saw resized to `size`."""
        scale = self.boxes_xyxy.new_tensor([new / old for new, old in zip(to, size, strict=True)]).flip(0)  # x y
        return replace(self, boxes_xyxy=self.boxes_xyxy * scale.repeat(2))

    def whole_masks(self, size: Size) -> Iterator[Tensor]:
        """Yield the mask of each object in an image of a size, bool (h, w); one at a time, as all of them are large."""
        assert self.masks is not None, "there are no masks"
        for mask, box in zip(self.masks, self.boxes_xyxy, strict=True):
            yield paste(mask, box, size)

    def rles(self, size: Size) -> Iterator[Rle]:
        """Yield the mask of each object in an image of a size as run lengths, without its pixels outside of the box."""
        assert self.masks is not None, "there are no masks"
        for mask, box in zip(self.masks.float().cpu(), self.boxes_xyxy.float().cpu(), strict=True):
            yield encode_window(paste_window(mask, box, size), size)


def select(boxes: Tensor, logits: Tensor) -> Detections:
    """Return the best 100 objects of an image, over all boxes and classes.

    Pairs of a box and a class with a probability above 0.05 compete; of those of one class that overlap by an IoU
    above 0.5 the best stays.

    Args:
        boxes: (n, k, 4), xyxy, for each class, within the image.
        logits: (n, k + 1), the background last.
    """
    probabilities = logits.softmax(1)[:, :-1]
    place, labels = torch.nonzero(probabilities > LEAST_SCORE, as_tuple=True)
    boxes, scores = boxes[place, labels], probabilities[place, labels]
    kept = batched_nms(boxes, scores, labels, NMS_IOU)[:MOST_DETECTIONS]
    return Detections(boxes[kept], scores[kept], labels[kept])
