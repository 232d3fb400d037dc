"""Depthwise k x k convolution with "same" padding, on channels-last memory."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.kernels.autocast import autocast_dtype
from modernet.kernels.backend import Backend, use_triton
from modernet.kernels.depthwise_conv.reference import depthwise_conv_reference

__all__ = ["check_depthwise", "depthwise_conv", "depthwise_conv_reference"]


def depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None = None, *, backend: Backend = "auto") -> Tensor:
    """Convolve each channel with its own k x k kernel and add a bias; stride 1, zero padding.

    Dtypes follow `F.conv2d`: under autocast all tensors are cast to its dtype first. Accumulation is in float32.

    Memory traffic, in passes over the activation: forward 2 (read x, write y); backward 4 (the input gradient is the
    same kernel with flipped taps, 2; weight and bias gradients read x and dy, 2). `x` is saved for backward. Gradients
    are deterministic. Second derivatives are not supported.

    Args:
        x: `(b, c, h, w)`; copied to channels-last memory format if it has another.
        weight: `(c, 1, k, k)`, k odd.
        bias: `(c,)` or None.
        backend: see `modernet.kernels.Backend`; float64 is always plain PyTorch.

    Returns:
        `(b, c, h, w)` in channels-last memory format.

    Raises:
        InputError: incompatible shapes or dtypes.
    """
    check_depthwise(x, weight, bias)
    dtype = autocast_dtype(x)
    x, weight, bias = x.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    training = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (x, weight, bias))
    shape = (weight.shape[0], weight.shape[-1])
    if dtype == torch.float64 or not use_triton("depthwise_conv", backend, x, shape, training=training):
        return depthwise_conv_reference(x, weight, bias)
    y: Tensor = _depthwise_conv(x.contiguous(memory_format=torch.channels_last), weight, bias)
    return y


def check_depthwise(x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    """Check shapes, kernel size and dtypes; dtypes may differ under autocast.

    Raises:
        InputError: incompatible shapes or dtypes.
    """
    if x.ndim != 4:
        raise InputError(f"x has shape {tuple(x.shape)}; give a map (b, c, h, w)")
    if not x.is_floating_point():
        raise InputError(f"x is {x.dtype}; give floating-point numbers: x.float()")
    channels, size = x.shape[1], weight.shape[-1]
    if weight.shape != (channels, 1, size, size) or size % 2 == 0:
        raise InputError(
            f"weight has shape {tuple(weight.shape)}; x has {channels} channels, "
            f"so give ({channels}, 1, k, k) with k odd"
        )
    if bias is not None and bias.shape != (channels,):
        raise InputError(
            f"bias has shape {tuple(bias.shape)}; x has {channels} channels, so give ({channels},) or None"
        )
    dtypes = {t.dtype for t in (x, weight, bias) if t is not None}
    if len(dtypes) > 1 and not torch.is_autocast_enabled(x.device.type):
        raise InputError(
            f"x is {x.dtype} and the parameters are {weight.dtype}"
            f"{'' if bias is None else f' and {bias.dtype}'}; give one dtype, or use torch.autocast"
        )


@torch.library.custom_op("modernet::depthwise_conv", mutates_args=())
def _depthwise_conv(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    from modernet.kernels.depthwise_conv.triton_kernel import depthwise_conv_forward

    return depthwise_conv_forward(x, weight, bias)


@_depthwise_conv.register_fake
def _(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return torch.empty_like(x, memory_format=torch.channels_last)


@torch.library.custom_op("modernet::depthwise_conv_weight_gradient", mutates_args=())
def _weight_gradient(dy: Tensor, x: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
    from modernet.kernels.depthwise_conv.triton_kernel import depthwise_conv_weight_gradient

    return depthwise_conv_weight_gradient(dy, x, kernel_size)


@_weight_gradient.register_fake
def _(dy: Tensor, x: Tensor, kernel_size: int) -> tuple[Tensor, Tensor]:
    channels = x.shape[1]
    weight = x.new_empty((channels, 1, kernel_size, kernel_size), dtype=torch.float32)
    return weight, x.new_empty((channels,), dtype=torch.float32)


def depthwise_conv_backward(
    dy: Tensor, x: Tensor, weight: Tensor, needs: tuple[bool, bool, bool]
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Return the gradients of `x`, `weight` and `bias` that are needed, given the output gradient."""
    dx = _depthwise_conv(dy, weight.flip((2, 3)), None) if needs[0] else None
    if not (needs[1] or needs[2]):
        return dx, None, None
    dweight, dbias = _weight_gradient(dy, x, weight.shape[-1])
    return dx, dweight.to(weight.dtype), dbias.to(weight.dtype) if needs[2] else None


def _save(ctx: Any, inputs: tuple[Tensor, Tensor, Tensor | None], output: Tensor) -> None:
    ctx.save_for_backward(*inputs[:2])


def _backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    x, weight = ctx.saved_tensors
    return depthwise_conv_backward(dy, x, weight, ctx.needs_input_grad)


_depthwise_conv.register_autograd(_backward, setup_context=_save)
