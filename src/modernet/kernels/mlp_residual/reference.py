"""The second half of a ConvNeXt block in plain PyTorch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def mlp_residual_reference(
    x: Tensor,
    shortcut: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None = None,
    sample_scale: Tensor | None = None,
) -> Tensor:
    """See `modernet.kernels.mlp_residual`. The result has the memory format of `shortcut`."""
    y = F.linear(F.gelu(F.linear(x, weight1, bias1)), weight2, bias2)  # c -> 4c -> c
    y = y if gamma is None else gamma * y
    y = y.permute(0, 3, 1, 2)  # b h w c -> b c h w
    if sample_scale is not None:
        y = y * sample_scale.to(y.dtype).view(-1, 1, 1, 1)
    return shortcut + y
