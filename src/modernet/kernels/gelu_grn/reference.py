"""GELU and global response normalisation in plain PyTorch."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def gelu_grn_reference(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """See `modernet.kernels.gelu_grn`."""
    x = F.gelu(x)
    norm = torch.linalg.vector_norm(x, dim=(1, 2), keepdim=True)  # b h w c -> b 1 1 c
    ratio = norm / (norm.mean(-1, keepdim=True) + eps)
    y: Tensor = gamma * (x * ratio) + beta + x
    return y
