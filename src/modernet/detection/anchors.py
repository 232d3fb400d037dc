"""Anchors: the boxes that a region proposal network starts from."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.preparation import Size

STRIDES = (4, 8, 16, 32, 64)
"""Of the five levels of the pyramid, in pixels."""
RATIOS = (0.5, 1.0, 2.0)
"""Height by width of the anchors at each position."""
_SIZE = 8  # square root of an anchor's area, in strides


def anchors(map_size: Size, stride: int, like: Tensor) -> Tensor:
    """Return the anchors of a level, `(h * w * 3, 4)` as xyxy in pixels; row, then column, then ratio.

    Those of the first position are centered on the corner of the image. Coordinates are not rounded, and the stride is
    the constant of the level, not the image's side by the map's.

    Args:
        map_size: height and width of the feature map.
        like: a tensor of the device and type of the result.
    """
    height, width = map_size
    root = torch.tensor(RATIOS, device=like.device, dtype=like.dtype).sqrt()
    sides = _SIZE * stride * torch.stack((1 / root, root), -1)  # 3 (w h)
    corners = torch.cat((-sides / 2, sides / 2), -1)
    y = torch.arange(height, device=like.device, dtype=like.dtype) * stride
    x = torch.arange(width, device=like.device, dtype=like.dtype) * stride
    centers = torch.stack((x.expand(height, width), y[:, None].expand(height, width)), -1)  # h w 2
    return (centers.repeat(1, 1, 2)[:, :, None] + corners).reshape(-1, 4)
