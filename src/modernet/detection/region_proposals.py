"""The region proposal network: where something is, whatever it is.

Ren, He, Girshick, Sun, "Faster R-CNN: Towards Real-Time Object Detection with Region Proposal Networks", 2015,
arXiv 1506.01497.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.detection.anchors import RATIOS, STRIDES, anchors
from modernet.detection.box_coder import BoxCoder, clip
from modernet.detection.matching import match, sample
from modernet.detection.padding import padded_size
from modernet.detection.precision import at_least_float32
from modernet.detection.suppression import survivors
from modernet.preparation import Size

_NMS_IOU = 0.7
_POSITIVE_IOU, _NEGATIVE_IOU = 0.7, 0.3
_SAMPLED, _POSITIVE_SHARE = 256, 0.5  # anchors per image
_CODER = BoxCoder()


class Level(NamedTuple):
    """What is predicted at one level of the pyramid.

    Attributes:
        anchors: (n, 4), xyxy.
        logits: (b, n), that there is an object.
        offsets: (b, n, 4), from the anchors.
        columns: width of the map.
        stride: in pixels.
    """

    anchors: Tensor
    logits: Tensor
    offsets: Tensor
    columns: int
    stride: int


class RPNHead(nn.Module):
    """A 3x3 convolution, and at each position a logit and four offsets for each anchor; shared by all levels."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.rpn_conv = nn.Conv2d(width, width, 3, padding=1)
        self.rpn_cls = nn.Conv2d(width, len(RATIOS), 1)
        self.rpn_reg = nn.Conv2d(width, 4 * len(RATIOS), 1)
        for layer in (self.rpn_conv, self.rpn_cls, self.rpn_reg):
            nn.init.normal_(layer.weight, std=0.01)
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, maps: Sequence[Tensor]) -> list[Level]:
        """Predict from the five maps of a pyramid, each `(b, c, h, w)`."""
        levels = []
        for x, stride in zip(maps, STRIDES, strict=True):
            height, width = x.shape[2:]
            y = F.relu(self.rpn_conv(x))
            logits = self.rpn_cls(y).permute(0, 2, 3, 1).flatten(1)  # b 3 h w -> b (h w 3)
            offsets = self.rpn_reg(y).permute(0, 2, 3, 1).reshape(len(x), -1, 4)
            logits, offsets = at_least_float32(logits), at_least_float32(offsets)
            levels.append(Level(anchors((height, width), stride, offsets), logits, offsets, width, stride))
        return levels


@torch.no_grad()
def propose(levels: Sequence[Level], sizes: Sequence[Size], *, candidates: int, kept: int) -> list[Tensor]:
    """Return the proposals of each image, `(n, 4)` as xyxy within it, best first; there is at least one.

    Of each level the best anchors by score are decoded and clipped; those that overlap a better one of their level by
    an IoU above 0.7 are dropped.

    Args:
        sizes: height and width of each image, without padding.
        candidates: most boxes of a level before, and
        kept: most boxes of an image after non-maximum suppression.
    """
    proposals = []
    for image, size in enumerate(sizes):
        boxes, scores = ranked_proposals(levels, image, size, candidates=candidates, kept=kept)
        proposals.append(boxes[scores >= 0])
    return proposals


def ranked_proposals(
    levels: Sequence[Level], image: int, size: Size, *, candidates: int, kept: int
) -> tuple[Tensor, Tensor]:
    """Return boxes `(n, 4)` and scores `(n,)` of one image, best first, n independent of what is in it.

    A score is a probability, or -1 where the box is not a proposal (after all those that are). Arguments as of
    `propose`.
    """
    boxes, scores = [], []
    for level in levels:
        best, chosen = level.logits[image].sigmoid().topk(min(candidates, len(level.anchors)))
        decoded = clip(_CODER.decode(level.anchors[chosen], level.offsets[image, chosen]), size)
        boxes.append(decoded)
        scores.append(best.masked_fill(~survivors(decoded, best, _NMS_IOU), -1))
    all_boxes, all_scores = torch.cat(boxes), torch.cat(scores)
    best, chosen = all_scores.topk(min(kept, len(all_scores)))
    return all_boxes[chosen], best


def proposal_losses(
    levels: Sequence[Level], sizes: Sequence[Size], objects: Sequence[Tensor], *, inside: bool, beta: float
) -> tuple[Tensor, Tensor]:
    """Return the losses of a batch: cross-entropy of objectness, and smooth L1 (L1 for beta 0) of the offsets.

    Both are sums over 256 anchors drawn in each image, at most half of them positive, divided by the number drawn in
    all images. The positive ones alone have offsets; the four coordinates are added.

    Args:
        sizes: height and width of each image, without padding.
        objects: the boxes of each image, (m, 4), xyxy.
        inside: use only anchors that are wholly inside their image.
        beta: where smooth L1 turns from quadratic to linear, in offsets.
    """
    boxes = torch.cat([level.anchors for level in levels])
    logits, offsets = (torch.cat(parts, 1) for parts in zip(*((x.logits, x.offsets) for x in levels), strict=True))
    score_loss, box_loss, drawn = logits.sum() * 0, offsets.sum() * 0, 0
    for image, (size, objects_here) in enumerate(zip(sizes, objects, strict=True)):
        usable = torch.cat([_in_own_padding(level, size) for level in levels])
        if inside:
            usable = usable & (clip(boxes, size) == boxes).all(1)
        candidates = torch.nonzero(usable)[:, 0]
        matches = match(
            boxes[candidates],
            objects_here,
            positive=_POSITIVE_IOU,
            negative=_NEGATIVE_IOU,
            low_quality=_NEGATIVE_IOU,
        )
        positive, negative = sample(matches, _SAMPLED, _POSITIVE_SHARE)
        chosen = candidates[torch.cat((positive, negative))]
        labels = torch.zeros_like(logits[image, chosen])
        labels[: len(positive)] = 1
        score_loss = score_loss + F.binary_cross_entropy_with_logits(logits[image, chosen], labels, reduction="sum")
        found = candidates[positive]
        target = _CODER.encode(boxes[found], objects_here[matches[positive]])
        box_loss = box_loss + F.smooth_l1_loss(offsets[image, found], target, beta=beta, reduction="sum")
        drawn += len(chosen)
    return score_loss / max(drawn, 1), box_loss / max(drawn, 1)


def _in_own_padding(level: Level, size: Size) -> Tensor:
    """Return which anchors of a level are where the image would be if it were alone in its batch, bool (n,)."""
    rows, columns = (-(-side // level.stride) for side in padded_size(size))
    position = torch.arange(len(level.anchors), device=level.anchors.device) // len(RATIOS)
    return (position // level.columns < rows) & (position % level.columns < columns)
