"""Depthwise convolution and LayerNorm in plain PyTorch."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from modernet.kernels.depthwise_conv.reference import depthwise_conv_reference


def depthwise_layer_norm_reference(
    x: Tensor, weight: Tensor, bias: Tensor | None, norm_weight: Tensor, norm_bias: Tensor, eps: float
) -> Tensor:
    """`depthwise_conv_reference`, then `F.layer_norm` over channels.

    Under autocast PyTorch computes the norm in float32 and the next linear layer rounds the result; here it is rounded
    immediately to the dtype of the convolution.

    Args:
        x: `(b, c, h, w)`, any memory format.
        weight: `(c, 1, k, k)`, k odd.
        bias: `(c,)` or None.
        norm_weight, norm_bias: `(c,)`.
        eps: added to the variance.

    Returns:
        `(b, h, w, c)`, contiguous.
    """
    y = depthwise_conv_reference(x, weight, bias).permute(0, 2, 3, 1)  # b c h w -> b h w c
    return F.layer_norm(y, norm_weight.shape, norm_weight, norm_bias, eps).to(y.dtype).contiguous()
