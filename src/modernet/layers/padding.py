"""Padding of feature maps to whole patches or windows."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(x: Tensor, size: int, *, channels_last: bool = False) -> Tensor:
    """Zero-pad a map at the bottom and right until height and width are multiples of `size`.

    Args:
        x: `(b, c, h, w)`, or `(b, h, w, c)` with `channels_last`.
        size: of a patch or window, in positions.
        channels_last: whether the channels are the last dimension.
    """
    return _padded(x, size, channels_last)


@torch.fx.wrap  # the condition depends on the shape, which is not known when torch.fx traces a network
def _padded(x: Tensor, size: int, channels_last: bool) -> Tensor:
    height, width = x.shape[1:3] if channels_last else x.shape[2:]
    below, right = -height % size, -width % size
    if below == 0 and right == 0:
        return x
    return F.pad(x, [0, 0, 0, right, 0, below] if channels_last else [0, right, 0, below])
