"""Resizing of feature maps and logits."""

from __future__ import annotations

from torch import Size, Tensor
from torch.nn import functional as F


def resized(x: Tensor, size: Size | tuple[int, int]) -> Tensor:
    """Resize maps `(b, c, h, w)` bilinearly to an exact size, corners not aligned, as OpenMMLab does."""
    return x if x.shape[-2:] == size else F.interpolate(x, size, mode="bilinear", align_corners=False)
