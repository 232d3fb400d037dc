"""`modernet.optimize` for detectors: the parts whose work does not depend on what is in an image, each by itself."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from modernet.deploy.running.report import Report
from modernet.deploy.running.way import Runner
from modernet.detection import box_head, mask_head
from modernet.detection.detections import MOST_DETECTIONS, Detections
from modernet.detection.network import PROPOSALS, RCNN, find
from modernet.detection.padding import padded_size, to_size
from modernet.detection.region_proposals import Level
from modernet.errors import InputError
from modernet.preparation import Size

_LEVELS = 5

Part = Callable[[nn.Module, Tensor], tuple[Runner, Report]]
"""Optimizes a network for an example."""


class OptimizedDetector(nn.Module):
    """The result of `optimize` for a detector; called like it, without targets, with images of one padded size.

    Attributes:
        report: rewrites and measurements, of all parts.
    """

    def __init__(self, dense: nn.Module, levels: Sequence[Level], network: RCNN, report: Report, size: Size) -> None:
        super().__init__()
        self.dense = dense
        self.roi_heads = network.roi_heads
        self.report = report
        self._levels = levels  # for their anchors
        self._size = size

    @torch.no_grad()
    def forward(self, images: Tensor, sizes: Sequence[Size] | None = None) -> list[Detections]:
        """Return what is found in each image; arguments as of `RCNN.forward`.

        Raises:
            InputError: an image needs another padding than the example.
        """
        sizes = [(images.shape[2], images.shape[3])] * len(images) if sizes is None else sizes
        for size in sizes:
            if padded_size(size) != self._size:
                (height, width), (h, w) = size, self._size
                raise InputError(
                    f"an image is {height}x{width}; this detector was optimized for images that are padded to {h}x{w}: "
                    "resize them, or call optimize with an example of that size"
                )
        outputs = self.dense(to_size(images, self._size))
        maps, logits, offsets = (outputs[start : start + _LEVELS] for start in range(0, 3 * _LEVELS, _LEVELS))
        levels = [
            level._replace(anchors=level.anchors.to(shifts), logits=ours, offsets=shifts)
            for level, ours, shifts in zip(self._levels, logits, offsets, strict=True)
        ]
        del outputs, maps[4]  # the coarsest map has given its proposals
        maps = [x.contiguous(memory_format=torch.channels_last) for x in maps]  # as RoIAlign copies others
        return find(maps, levels, self.roi_heads, sizes)


class _Dense(nn.Module):
    """The part of a detector before the proposals: images -> maps, logits and offsets of its five levels."""

    def __init__(self, network: RCNN) -> None:
        super().__init__()
        self.pyramid, self.neck, self.rpn_head = network.pyramid, network.neck, network.rpn_head

    def forward(self, images: Tensor) -> list[Tensor]:
        maps: list[Tensor] = self.neck(self.pyramid(images))
        levels = self.rpn_head(maps)
        return [*maps, *(level.logits for level in levels), *(level.offsets for level in levels)]


def _only_anchors(level: Level) -> Level:
    return level._replace(logits=level.anchors[:0], offsets=level.anchors[:0])


def optimize_detector(network: RCNN, images: Tensor, batch: int, whole: Part, eager: Part) -> OptimizedDetector:
    """Return a faster detector with the same results.

    The backbone, the pyramid and the proposal head are optimized as one network of a fixed size; box and mask heads for
    the number of boxes that they usually see, but not compiled, as a program for each number would be.

    Args:
        network: left unchanged.
        images: `(n, 3, h, w)`, typical images.
        batch: how many of them are timed.
        whole, eager: optimize a part, with and without compilation.
    """
    size = padded_size((images.shape[2], images.shape[3]))
    images = to_size(images, size)
    network = copy.deepcopy(network).eval().requires_grad_(False)
    dense, report = whole(_Dense(network), images)
    maps = network.levels(images[:1].to(network.rpn_head.rpn_cls.weight.dtype))
    levels = [_only_anchors(level) for level in network.rpn_head(maps)]
    generator, width = torch.Generator().manual_seed(0), network.config.width
    parts = [replace(report, part="images to proposals")]
    for name, heads, side, boxes in (
        ("box head", network.roi_heads.box_heads, box_head.SIDE, PROPOSALS),
        ("mask head", network.roi_heads.mask_heads, mask_head.SIDE, MOST_DETECTIONS),
    ):
        example = torch.randn(batch * boxes, width, side, side, generator=generator).to(images)
        for index, head in enumerate(heads):
            heads[index], report = eager(head, example)
            parts.append(replace(report, part=f"{name} {index + 1}", unit="boxes"))
    return OptimizedDetector(dense, levels, network, replace(parts[0], others=tuple(parts[1:])), size)
