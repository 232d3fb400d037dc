"""Detection by the published conventions, written out for one image, box by box, in Python numbers.

Only convolutions, linear layers and RoIAlign of a single box are taken from the network and from torchvision.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torchvision.ops import roi_align

from modernet.detection import RCNN
from modernet.preparation import Size

Box = tuple[float, float, float, float]


@dataclass
class Found:
    box: Box
    score: float
    label: int
    mask: Tensor | None = None


def detections(network: RCNN, image: Tensor, size: Size) -> list[Found]:
    """What is found in an image (1, 3, h, w), of a size before padding."""
    maps = network.levels(image)
    boxes = proposals(network, maps, size)
    found = []
    for box, logits in _classified(network, maps, boxes, size):
        odds = [math.exp(value) for value in logits]
        for label in range(network.config.num_classes):
            score = odds[label] / sum(odds)
            if score > 0.05:
                found.append(Found(box[label], score, label))
    found.sort(key=lambda each: -each.score)
    kept: list[Found] = []
    for each in found:
        if all(each.label != other.label or iou(each.box, other.box) <= 0.5 for other in kept):
            kept.append(each)
    for each in kept[:100]:
        each.mask = _mask(network, maps, each) if network.config.masks else None
    return kept[:100]


def proposals(network: RCNN, maps: list[Tensor], size: Size) -> list[Box]:
    kept: list[tuple[float, Box]] = []
    for x, stride in zip(maps, (4, 8, 16, 32, 64), strict=True):
        head = network.rpn_head
        y = torch.relu(head.rpn_conv(x))
        scores, offsets = torch.sigmoid(head.rpn_cls(y))[0].tolist(), head.rpn_reg(y)[0].tolist()
        boxes = []
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                for index, ratio in enumerate((0.5, 1.0, 2.0)):
                    h, w = 8 * stride * math.sqrt(ratio), 8 * stride / math.sqrt(ratio)
                    cx, cy = column * stride, row * stride
                    anchor = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
                    offset = [offsets[4 * index + i][row][column] for i in range(4)]
                    boxes.append((scores[index][row][column], decoded(anchor, offset, (1, 1, 1, 1), size)))
        boxes.sort(key=lambda each: -each[0])
        of_level: list[tuple[float, Box]] = []
        for score, box in boxes[:1000]:
            if all(iou(box, other) <= 0.7 for _, other in of_level):
                of_level.append((score, box))
        kept += of_level
    return [box for _, box in sorted(kept, key=lambda each: -each[0])[:1000]]


def features(maps: list[Tensor], box: Box, side: int) -> Tensor:
    level = math.floor(math.log2(math.sqrt((box[2] - box[0]) * (box[3] - box[1])) / 56 + 1e-6))
    level = min(max(level, 0), 3)
    rois = torch.tensor([[0, *box]], dtype=maps[0].dtype)
    return roi_align(maps[level], rois, side, 1 / (4, 8, 16, 32)[level], sampling_ratio=0, aligned=True)


def decoded(box: Box, offset: list[float], stds: tuple[float, ...], size: Size) -> Box:
    dx, dy, dw, dh = (value * std for value, std in zip(offset, stds, strict=True))
    limit = math.log(1000 / 16)
    w = (box[2] - box[0]) * math.exp(min(max(dw, -limit), limit))
    h = (box[3] - box[1]) * math.exp(min(max(dh, -limit), limit))
    x = (box[0] + box[2]) / 2 + (box[2] - box[0]) * dx
    y = (box[1] + box[3]) / 2 + (box[3] - box[1]) * dy
    height, width = size
    left, right = (min(max(value, 0.0), width) for value in (x - w / 2, x + w / 2))
    top, bottom = (min(max(value, 0.0), height) for value in (y - h / 2, y + h / 2))
    return left, top, right, bottom


def iou(a: Box, b: Box) -> float:
    w, h = min(a[2], b[2]) - max(a[0], b[0]), min(a[3], b[3]) - max(a[1], b[1])
    common = max(w, 0) * max(h, 0)
    union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
    return common / union if union else 0.0


def pasted(mask: Tensor, box: Box, size: Size) -> Tensor:
    """Bilinear interpolation at the center of every pixel, pixel by pixel; zero beyond the mask."""
    side, values = len(mask), mask.tolist()
    whole = torch.zeros(size, dtype=torch.bool)
    for row in range(size[0]):
        for column in range(size[1]):
            x = (column + 0.5 - box[0]) / (box[2] - box[0]) * side - 0.5
            y = (row + 0.5 - box[1]) / (box[3] - box[1]) * side - 0.5
            total = 0.0
            for i in (math.floor(y), math.floor(y) + 1):
                for j in (math.floor(x), math.floor(x) + 1):
                    if 0 <= i < side and 0 <= j < side:
                        total += values[i][j] * (1 - abs(y - i)) * (1 - abs(x - j))
            whole[row, column] = total >= 0.5
    return whole


def _classified(network: RCNN, maps: list[Tensor], boxes: list[Box], size: Size) -> list[tuple[list[Box], list[float]]]:
    """For each proposal, the boxes of all classes and the logits, averaged over the stages."""
    results, stages = [], network.config.stages
    for box in boxes:
        logits_of_stages = []
        for stage, head in zip(stages, network.roi_heads.box_heads, strict=True):
            logits, offsets = (x[0].tolist() for x in head(features(maps, box, 7)))
            logits_of_stages.append(logits)
            if stage is not stages[-1]:
                foreground = logits[:-1]
                box = decoded(box, offsets[foreground.index(max(foreground))], stage.stds, size)
        mean = [sum(values) / len(stages) for values in zip(*logits_of_stages, strict=True)]
        results.append(([decoded(box, offset, stages[-1].stds, size) for offset in offsets], mean))
    return results


def _mask(network: RCNN, maps: list[Tensor], found: Found) -> Tensor:
    cut = features(maps, found.box, 14)
    masks = [torch.sigmoid(head(cut)[0, found.label]) for head in network.roi_heads.mask_heads]
    return sum(masks[1:], masks[0]) / len(masks)
