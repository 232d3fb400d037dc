"""Depthwise convolution in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def depthwise_conv_reference(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """Depthwise `F.conv2d` with "same" padding, in channels-last memory format.

    Args:
        x: `(b, c, h, w)`, any memory format.
        weight: `(c, 1, k, k)`, k odd.
        bias: `(c,)` or None.

    Returns:
        `(b, c, h, w)` in channels-last memory format.
    """
    x = x.contiguous(memory_format=torch.channels_last)
    y = F.conv2d(x, weight, bias, padding=weight.shape[-1] // 2, groups=weight.shape[0])
    return y.contiguous(memory_format=torch.channels_last)
