"""The dtype in which a fused operation computes under autocast."""

from __future__ import annotations

import torch
from torch import Tensor


def autocast_dtype(x: Tensor) -> torch.dtype:
    """Return the dtype to which a convolution or linear layer would cast `x`: autocast's if enabled, else its own.

    Autocast does not change float64.
    """
    device = x.device.type
    if x.dtype == torch.float64 or not torch.is_autocast_enabled(device):
        return x.dtype
    return torch.get_autocast_dtype(device)
