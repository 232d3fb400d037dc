"""Detection and its losses by the published conventions, written out for one image, box by box, in Python numbers.

Only convolutions, linear layers and RoIAlign of a single box are taken from the network and from torchvision. Where a
loss is over a random sample, this one takes the first boxes.
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
        for label, score in enumerate(softmax(logits)[:-1]):
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


def losses(
    network: RCNN, image: Tensor, size: Size, objects: list[Box], labels: list[int], masks: Tensor
) -> dict[str, float]:
    """The parts of the loss of an image (1, 3, h, w)."""
    config, stages = network.config, network.config.stages
    maps = network.levels(image)
    parts = _proposal_losses(network, maps, size, objects) | {"class": 0.0, "box": 0.0, "mask": 0.0}
    boxes = proposals(network, maps, size)
    for index, stage in enumerate(stages):
        found = matches(boxes, objects, stage.iou, stage.iou, stage.iou if config.low_quality else 2.0)
        pairs = [*enumerate(objects), *zip(found, boxes, strict=True)]  # objects are proposals too
        given = [*[True] * len(objects), *[False] * len(boxes)]
        positive, negative = first(pairs, 512, 128)
        n, refined = len(positive) + len(negative), []
        for place in positive + negative:
            match, box = pairs[place]
            label = labels[match] if match >= 0 else config.num_classes
            logits, offsets = (x[0].tolist() for x in network.roi_heads.box_heads[index](features(maps, box, 7)))
            parts["class"] -= stage.loss_weight * math.log(softmax(logits)[label]) / n
            if match >= 0:
                loss = _box_loss(box, objects[match], offsets[label], stage.stds, config.box_loss)
                parts["box"] += stage.loss_weight * loss / n
                mask_logits = network.roi_heads.mask_heads[index](features(maps, box, 14))[0, label].flatten().tolist()
                target = roi_align(
                    masks[None, match : match + 1].to(image), [image.new_tensor([box])], 28, aligned=True
                )
                pixels = [
                    cross_entropy(x, t >= 0.5) for x, t in zip(mask_logits, target.flatten().tolist(), strict=True)
                ]
                parts["mask"] += stage.loss_weight * sum(pixels) / 784 / len(positive)
            if not given[place]:
                used = label if match >= 0 else logits.index(max(logits[:-1]))
                refined.append(decoded(box, offsets[used], stage.stds, size))
        boxes = refined
    return parts


def _proposal_losses(network: RCNN, maps: list[Tensor], size: Size, objects: list[Box]) -> dict[str, float]:
    anchors = [
        each for each in all_anchors(network, maps) if not network.config.anchors_inside or inside(each[0], size)
    ]
    found = matches([box for box, _, _ in anchors], objects, 0.7, 0.3, 0.3)
    positive, negative = first(list(zip(found, anchors, strict=True)), 256, 128)
    n, beta = len(positive) + len(negative), network.config.anchor_beta
    score = sum(cross_entropy(anchors[place][1], place in positive) for place in positive + negative)
    box = 0.0
    for place in positive:
        anchor, _, offsets = anchors[place]
        for x, t in zip(offsets, encoded(anchor, objects[found[place]]), strict=True):
            box += abs(x - t) - beta / 2 if abs(x - t) >= beta else (x - t) ** 2 / 2 / beta
    return {"rpn_class": score / n, "rpn_box": box / n}


def _box_loss(box: Box, target: Box, offsets: list[float], stds: tuple[float, ...], kind: str) -> float:
    if kind == "l1":
        wanted = [value / std for value, std in zip(encoded(box, target), stds, strict=True)]
        return sum(abs(x - t) for x, t in zip(offsets, wanted, strict=True))
    a, b = decoded(box, offsets, stds, None), target
    hull = (max(a[2], b[2]) - min(a[0], b[0])) * (max(a[3], b[3]) - min(a[1], b[1]))
    area = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    union = area / (1 + iou(a, b))
    return 10 * (1 - iou(a, b) + (hull - union) / hull)


def matches(boxes: list[Box], objects: list[Box], positive: float, negative: float, low_quality: float) -> list[int]:
    """The object of each box; -1 for the background, -2 for neither."""
    overlaps = [[iou(box, each) for each in objects] for box in boxes]
    found = []
    for row in overlaps:
        best = max(row, default=0.0)
        found.append(row.index(best) if best >= positive else -1 if best < negative else -2)
    for index in range(len(objects)):
        highest = max(row[index] for row in overlaps)
        if highest >= low_quality:
            for place, row in enumerate(overlaps):
                if row[index] == highest:
                    found[place] = index
    return found


def first(pairs: list[tuple[int, object]], number: int, most_positive: int) -> tuple[list[int], list[int]]:
    positive = [place for place, (match, _) in enumerate(pairs) if match >= 0][:most_positive]
    return positive, [place for place, (match, _) in enumerate(pairs) if match == -1][: number - len(positive)]


def cross_entropy(logit: float, target: bool) -> float:
    return math.log1p(math.exp(-logit if target else logit))


def softmax(logits: list[float]) -> list[float]:
    odds = [math.exp(value) for value in logits]
    return [value / sum(odds) for value in odds]


def inside(box: Box, size: Size) -> bool:
    return box[0] >= 0 and box[1] >= 0 and box[2] <= size[1] and box[3] <= size[0]


def encoded(box: Box, target: Box) -> list[float]:
    w, h = box[2] - box[0], box[3] - box[1]
    dx, dy = (target[0] + target[2] - box[0] - box[2]) / 2 / w, (target[1] + target[3] - box[1] - box[3]) / 2 / h
    return [dx, dy, math.log((target[2] - target[0]) / w), math.log((target[3] - target[1]) / h)]


def all_anchors(network: RCNN, maps: list[Tensor]) -> list[tuple[Box, float, list[float]]]:
    """Anchors of all levels, with the logit and the offsets of each."""
    found = []
    for x, stride in zip(maps, (4, 8, 16, 32, 64), strict=True):
        head = network.rpn_head
        y = torch.relu(head.rpn_conv(x))
        logits, offsets = head.rpn_cls(y)[0].tolist(), head.rpn_reg(y)[0].tolist()
        for row in range(x.shape[2]):
            for column in range(x.shape[3]):
                for index, ratio in enumerate((0.5, 1.0, 2.0)):
                    h, w = 8 * stride * math.sqrt(ratio), 8 * stride / math.sqrt(ratio)
                    cx, cy = column * stride, row * stride
                    anchor = (cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2)
                    offset = [offsets[4 * index + i][row][column] for i in range(4)]
                    found.append((anchor, logits[index][row][column], offset))
    return found


def proposals(network: RCNN, maps: list[Tensor], size: Size) -> list[Box]:
    """The proposals of an image so small that no level has more anchors than are considered."""
    kept: list[tuple[float, Box]] = []
    anchors = iter(all_anchors(network, maps))
    for x in maps:
        of_level = [next(anchors) for _ in range(3 * x.shape[2] * x.shape[3])]
        assert len(of_level) <= 1000
        chosen: list[tuple[float, Box]] = []
        for anchor, logit, offset in sorted(of_level, key=lambda each: -each[1]):
            box = decoded(anchor, offset, (1, 1, 1, 1), size)
            if all(iou(box, other) <= 0.7 for _, other in chosen):
                chosen.append((logit, box))
        kept += chosen
    return [box for _, box in sorted(kept, key=lambda each: -each[0])[:1000]]


def features(maps: list[Tensor], box: Box, side: int) -> Tensor:
    level = math.floor(math.log2(math.sqrt((box[2] - box[0]) * (box[3] - box[1])) / 56 + 1e-6))
    level = min(max(level, 0), 3)
    rois = torch.tensor([[0, *box]], dtype=maps[0].dtype)
    return roi_align(maps[level], rois, side, 1 / (4, 8, 16, 32)[level], sampling_ratio=0, aligned=True)


def decoded(box: Box, offset: list[float], stds: tuple[float, ...], size: Size | None) -> Box:
    dx, dy, dw, dh = (value * std for value, std in zip(offset, stds, strict=True))
    limit = math.log(1000 / 16)
    w = (box[2] - box[0]) * math.exp(min(max(dw, -limit), limit))
    h = (box[3] - box[1]) * math.exp(min(max(dh, -limit), limit))
    x = (box[0] + box[2]) / 2 + (box[2] - box[0]) * dx
    y = (box[1] + box[3]) / 2 + (box[3] - box[1]) * dy
    if size is None:
        return x - w / 2, y - h / 2, x + w / 2, y + h / 2
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
