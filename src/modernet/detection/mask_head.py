"""From the features of a box to the mask of what is in it.

He, Gkioxari, Dollár, Girshick, "Mask R-CNN", 2017, arXiv 1703.06870.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from modernet.data.targets import InstanceMasks
from modernet.detection.convolution import convolution
from modernet.detection.precision import at_least_float32

SIDE = 14
"""Positions of a box's features along each side; its mask has twice as many."""


class MaskHead(nn.Module):
    """Four 3x3 convolutions, upsampling by two, and logits of a mask for each class."""

    def __init__(self, num_classes: int, width: int = 256) -> None:
        super().__init__()
        self.convs = nn.Sequential(*[convolution(width) for _ in range(4)])
        self.upsample = nn.ConvTranspose2d(width, width, 2, 2)
        self.conv_logits = nn.Conv2d(width, num_classes, 1)
        for layer in (self.upsample, self.conv_logits):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            assert layer.bias is not None
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> Tensor:
        """Return logits `(n, k, 28, 28)` for features `(n, c, 14, 14)`."""
        x = F.relu(self.upsample(self.convs(features)))
        y: Tensor = self.conv_logits(x)
        return y


def of_class(logits: Tensor, labels: Tensor) -> Tensor:
    """Return the logits of one class for each box, `(n, 28, 28)`, at least in float32.

    Args:
        logits: (n, k, 28, 28)
        labels: int64 (n,), the classes.
    """
    return at_least_float32(logits[torch.arange(len(labels), device=labels.device), labels])


def mask_targets(masks: InstanceMasks, chosen: Tensor, boxes: Tensor) -> Tensor:
    """Return what the mask of each box should be, zeros and ones `(n, 28, 28)`.

    Each mask is sampled within its window, which gives what sampling the whole image gives: around the object is a
    margin of zeros, except where the image ends.

    Args:
        masks: those of all m objects.
        chosen: int64 (n,), the object of each box; all of them have a mask.
        boxes: (n, 4), xyxy in pixels.
    """
    targets = boxes.new_zeros(len(boxes), 2 * SIDE, 2 * SIDE)
    parts, windows = masks.split(), masks.windows.tolist()
    for index in sorted(set(chosen.tolist())):
        own = chosen == index
        top, left, _, _ = windows[index]
        part = parts[index][None, None].to(boxes.dtype)
        within = boxes[own] - boxes.new_tensor([left, top, left, top])
        cut: Tensor = roi_align(part, [within], 2 * SIDE, sampling_ratio=0, aligned=True)
        targets[own] = (cut[:, 0] >= 0.5).to(boxes.dtype)
    return targets


def mask_loss(logits: Tensor, targets: Tensor) -> Tensor:
    """Return the mean cross-entropy over all positions of all boxes, both `(n, 28, 28)`; 0 without boxes."""
    return F.binary_cross_entropy_with_logits(logits, targets, reduction="sum") / max(targets.numel(), 1)
