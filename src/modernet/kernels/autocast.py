"""What a fused operation computes in when autocast is on."""

from __future__ import annotations

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype:
    """The type that a convolution or a linear layer would read `x` in: autocast's where that is on, else its own.

    Autocast leaves float64 as it is.
    """
    device = x.device.type
    if x.dtype == torch.float64 or not torch.is_autocast_enabled(device):
        return x.dtype
    return torch.get_autocast_dtype(device)
