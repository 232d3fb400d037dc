"""Depthwise k x k convolution and LayerNorm over channels in one operation, the start of a ConvNeXt block."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.kernels.autocast import autocast_dtype
from modernet.kernels.backend import Backend, use_triton
from modernet.kernels.depthwise_conv import check_depthwise, depthwise_conv_backward
from modernet.kernels.depthwise_layer_norm.reference import depthwise_layer_norm_reference

__all__ = ["depthwise_layer_norm", "depthwise_layer_norm_reference"]


def depthwise_layer_norm(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    norm_weight: Tensor,
    norm_bias: Tensor,
    eps: float = 1e-6,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """`depthwise_conv` followed by LayerNorm over channels.

    Under autocast, x and the convolution's parameters are cast to its dtype, the norm's parameters are used as they
    are, and the output has autocast's dtype; plain PyTorch would return float32 for the next linear layer to round.
    The kernel does not round between convolution and norm.

    Memory traffic, in passes over the activation: inference 2 (read x, write y). Training 3 (also writes the
    convolution's output, which is saved with x); backward 7: norm 3 (reads dy and that output, writes the intermediate
    gradient), input gradient 2, weight gradient 2. Recomputing the convolution instead of saving it would avoid one
    pass and the memory, but its arithmetic takes longer than a pass. Gradients are deterministic. Second derivatives
    are not supported.

    Args:
        x: `(b, c, h, w)`; copied to channels-last memory format if it has another.
        weight: `(c, 1, k, k)`, k odd.
        bias: `(c,)` or None.
        norm_weight, norm_bias: `(c,)`.
        eps: added to the variance.
        backend: see `modernet.kernels.Backend`; float64 is always plain PyTorch.

    Returns:
        `(b, h, w, c)`, contiguous.

    Raises:
        InputError: incompatible shapes or dtypes.
    """
    check_depthwise(x, weight, bias)
    _check_norm(x, norm_weight, norm_bias)
    dtype = autocast_dtype(x)
    x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    tensors = (x, weight, bias, norm_weight, norm_bias)
    training = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in tensors)
    shape = (weight.shape[0], weight.shape[-1])
    if dtype == torch.float64 or not use_triton("depthwise_layer_norm", backend, x, shape, training=training):
        return depthwise_layer_norm_reference(x, weight, bias, norm_weight, norm_bias, eps)
    x = x.contiguous(memory_format=torch.channels_last)
    if not training:
        y: Tensor = _depthwise_layer_norm(x, weight, bias, norm_weight, norm_bias, eps)
        return y
    y, _ = _training(x, weight, bias, norm_weight, norm_bias, eps)
    return y


def _check_norm(x: Tensor, norm_weight: Tensor, norm_bias: Tensor) -> None:
    channels = (x.shape[1],)
    if norm_weight.shape != channels or norm_bias.shape != channels:
        raise InputError(
            f"norm_weight and norm_bias have shapes {tuple(norm_weight.shape)} and {tuple(norm_bias.shape)}; "
            f"x has {channels[0]} channels, so give {channels} for both"
        )
    if {norm_weight.dtype, norm_bias.dtype} != {x.dtype} and not torch.is_autocast_enabled(x.device.type):
        raise InputError(
            f"x is {x.dtype}, norm_weight {norm_weight.dtype} and norm_bias {norm_bias.dtype}; "
            "give one dtype, or use torch.autocast"
        )


@torch.library.custom_op("modernet::depthwise_layer_norm", mutates_args=())
def _depthwise_layer_norm(
    x: Tensor, weight: Tensor, bias: Tensor | None, norm_weight: Tensor, norm_bias: Tensor, eps: float
) -> Tensor:
    from modernet.kernels.depthwise_layer_norm.triton_kernel import depthwise_layer_norm_forward

    return depthwise_layer_norm_forward(x, weight, bias, norm_weight, norm_bias, eps, keep_convolution=False)[0]


@_depthwise_layer_norm.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None, norm_weight: Tensor, norm_bias: Tensor, eps: float) -> Tensor:
    batch, channels, height, width = x.shape
    return x.new_empty((batch, height, width, channels))


@torch.library.custom_op("modernet::depthwise_layer_norm_training", mutates_args=())
def _training(
    x: Tensor, weight: Tensor, bias: Tensor | None, norm_weight: Tensor, norm_bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    """Return the result and the convolution's output, which the backward pass needs."""
    from modernet.kernels.depthwise_layer_norm.triton_kernel import depthwise_layer_norm_forward

    y, convolution = depthwise_layer_norm_forward(x, weight, bias, norm_weight, norm_bias, eps, keep_convolution=True)
    assert convolution is not None
    return y, convolution


@_training.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor | None, norm_weight: Tensor, norm_bias: Tensor, eps: float
) -> tuple[Tensor, Tensor]:
    batch, channels, height, width = x.shape
    return x.new_empty((batch, height, width, channels)), x.new_empty((batch, height, width, channels))


@torch.library.custom_op("modernet::depthwise_layer_norm_gradient", mutates_args=())
def _norm_gradient(dy: Tensor, convolution: Tensor, norm_weight: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of the convolution's output and, in float32, of the norm's weight and bias."""
    from modernet.kernels.depthwise_layer_norm.triton_kernel import norm_gradient

    return norm_gradient(dy, convolution, norm_weight, eps)


@_norm_gradient.register_fake
def _(dy: Tensor, convolution: Tensor, norm_weight: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    parameter = torch.empty_like(norm_weight, dtype=torch.float32)
    return torch.empty_like(convolution), parameter, torch.empty_like(parameter)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, weight, _, norm_weight, norm_bias, ctx.eps = inputs
    ctx.mark_non_differentiable(output[1])
    ctx.norm_bias_dtype = norm_bias.dtype
    ctx.save_for_backward(x, weight, norm_weight, output[1])


def _backward(ctx: Any, dy: Tensor, _: Tensor | None) -> tuple[Tensor | None, ...]:
    x, weight, norm_weight, convolution = ctx.saved_tensors
    intermediate, dnorm_weight, dnorm_bias = _norm_gradient(dy, convolution, norm_weight, ctx.eps)
    intermediate = intermediate.permute(0, 3, 1, 2)  # b h w c -> b c h w
    dx, dweight, dbias = depthwise_conv_backward(intermediate, x, weight, ctx.needs_input_grad[:3])
    return dx, dweight, dbias, dnorm_weight.to(norm_weight.dtype), dnorm_bias.to(ctx.norm_bias_dtype), None


_training.register_autograd(_backward, setup_context=_save)
