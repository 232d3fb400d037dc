"""The operator: selects one of the two implementations and registers its gradient; `README.md` has the derivation."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from modernet.kernels.mlp_residual import on_chip, products


def mlp_residual_triton(
    x: Tensor, shortcut: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, *, training: bool,
) -> Tensor:  # fmt: skip
    """See `modernet.kernels.mlp_residual`."""
    keep = training and not _fits_on_chip(x)
    y: Tensor = _operator(x, shortcut, weight1, bias1, weight2, bias2, gamma, sample_scale, keep)[0]
    return y


@torch.library.custom_op("modernet::mlp_residual", mutates_args=())
def _operator(
    x: Tensor, shortcut: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, keep: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    """Return the result, and the hidden layer before GELU, empty unless `keep`."""
    y, before_gelu = _results(x, shortcut, weight1, gamma, keep)
    x, weight1, weight2 = x.contiguous(), weight1.contiguous(), weight2.contiguous()
    if shortcut.stride(2) != shortcut.stride(3) * shortcut.shape[3]:
        shortcut = shortcut.contiguous(memory_format=torch.channels_last)
    if not x.numel():
        return y.permute(0, 3, 1, 2), before_gelu
    with torch.cuda.device_of(x):
        if _fits_on_chip(x):
            on_chip.forward(x, shortcut, weight1, bias1, weight2, bias2, gamma, sample_scale, y)
        else:
            saved = before_gelu if keep else None
            products.forward(x, shortcut, weight1, bias1, weight2, bias2, gamma, sample_scale, y, saved)
    return y.permute(0, 3, 1, 2), before_gelu  # b h w c -> b c h w


@_operator.register_fake
def _(
    x: Tensor, shortcut: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, keep: bool,
) -> tuple[Tensor, Tensor]:  # fmt: skip
    y, before_gelu = _results(x, shortcut, weight1, gamma, keep)
    return y.permute(0, 3, 1, 2), before_gelu


def _results(x: Tensor, shortcut: Tensor, weight1: Tensor, gamma: Tensor | None, keep: bool) -> tuple[Tensor, Tensor]:
    """Allocate the result, `(b, h, w, c)`, and the hidden layer before GELU."""
    dtype = torch.promote_types(x.dtype, shortcut.dtype)
    dtype = dtype if gamma is None else torch.promote_types(dtype, gamma.dtype)
    y = x.new_empty(x.shape, dtype=dtype)
    return y, x.new_empty((*x.shape[:3], weight1.shape[0]) if keep else (0,))


@torch.library.custom_op("modernet::mlp_residual_backward", mutates_args=())
def _backward_operator(
    grad: Tensor, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, before_gelu: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of x, weight1, bias1, weight2, bias2 and gamma, the last empty without gamma."""
    if not x.numel():
        empty = _gradients(x, weight1, bias1, weight2, bias2, gamma)
        for gradient in empty:
            gradient.zero_()
        return empty
    x, weight1, weight2 = x.contiguous(), weight1.contiguous(), weight2.contiguous()
    grad = grad.permute(0, 2, 3, 1).contiguous()  # b c h w -> b h w c
    with torch.cuda.device_of(x):
        if _fits_on_chip(x):
            operands = (grad, x, weight1, bias1, weight2, gamma, sample_scale)
            grad_x = on_chip.input_gradient(*operands)
            grad_weight1, grad_bias1, product = on_chip.weight_gradients(*operands)
        else:
            grad_a, h, grad_bias1 = products.hidden_gradient(grad, before_gelu, weight2, gamma, sample_scale)
            grad_x = (grad_a @ weight1).view_as(x)
            grad_weight1 = grad_a.t() @ x.flatten(0, 2)
            product = h.t() @ grad.flatten(0, 2).to(h.dtype)
    product = product.t().float()  # hidden c -> c hidden
    total = grad.sum((1, 2), dtype=torch.float32)  # b h w c -> b c
    total = (total if sample_scale is None else total * sample_scale.float()[:, None]).sum(0)
    if gamma is None:
        grad_weight2, grad_bias2, grad_gamma = product, total, x.new_empty(0)
    else:
        scale = gamma.float()
        grad_weight2, grad_bias2 = product * scale[:, None], total * scale
        grad_gamma = ((product * weight2).sum(1) + total * bias2).to(gamma.dtype)
    return (
        grad_x, grad_weight1.to(weight1.dtype), grad_bias1.to(bias1.dtype),
        grad_weight2.to(weight2.dtype, memory_format=torch.contiguous_format), grad_bias2.to(bias2.dtype), grad_gamma,
    )  # fmt: skip


@_backward_operator.register_fake
def _(
    grad: Tensor, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, before_gelu: Tensor,
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    return _gradients(x, weight1, bias1, weight2, bias2, gamma)


def _gradients(
    x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor, gamma: Tensor | None
) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Allocate each gradient."""
    grad_x, grad_weight1, grad_bias1, grad_weight2, grad_bias2 = (
        t.new_empty(t.shape) for t in (x, weight1, bias1, weight2, bias2)
    )
    grad_gamma = x.new_empty(0) if gamma is None else gamma.new_empty(gamma.shape)
    return grad_x, grad_weight1, grad_bias1, grad_weight2, grad_bias2, grad_gamma


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, shortcut, weight1, bias1, weight2, bias2, gamma, sample_scale, _ = inputs
    ctx.save_for_backward(x, weight1, bias1, weight2, bias2, gamma, sample_scale, output[1])
    ctx.shortcut_dtype = shortcut.dtype
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 9
    saved = ctx.saved_tensors  # accessed once, as checkpointing requires
    grad_x, *of_parameters, grad_gamma = _backward_operator(grad, *saved)
    if saved[5] is None:
        grad_gamma = None
    return grad_x, grad.to(ctx.shortcut_dtype), *of_parameters, grad_gamma, None, None


_operator.register_autograd(_backward, setup_context=_setup_context)


def _fits_on_chip(x: Tensor) -> bool:
    return x.shape[-1] <= on_chip.MAX_CHANNELS
