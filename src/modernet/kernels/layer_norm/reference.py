"""LayerNorm over channels in plain PyTorch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def layer_norm_reference(x: Tensor, weight: Tensor, bias: Tensor, eps: float, channels_dim: int) -> Tensor:
    """See `modernet.kernels.layer_norm`. Maps are returned in channels-last memory format."""
    if channels_dim == -1:
        return F.layer_norm(x, weight.shape, weight, bias, eps)
    x = x.permute(0, 2, 3, 1)  # b c h w -> b h w c
    x = F.layer_norm(x, weight.shape, weight, bias, eps)
    return x.permute(0, 3, 1, 2)  # b h w c -> b c h w
