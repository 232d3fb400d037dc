"""The second half of a ConvNeXt block: expand, GELU, project, scale, add."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.kernels.autocast import autocast_dtype
from modernet.kernels.backend import Backend, use_triton
from modernet.kernels.mlp_residual.reference import mlp_residual_reference

__all__ = ["mlp_residual", "mlp_residual_reference"]


def mlp_residual(
    x: Tensor,
    shortcut: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None = None,
    sample_scale: Tensor | None = None,
    *,
    backend: Backend = "auto",
) -> Tensor:
    """`shortcut + sample_scale * gamma * (GELU(x W1^T + b1) W2^T + b2)`, as one or two kernels (Liu et al. 2022).

    There are two implementations, chosen by the number of channels; `README.md` in this folder derives both and counts
    their memory traffic.

    Under autocast the products are computed in its dtype, as in `F.linear`, and the result has the dtype of a block in
    plain PyTorch: the promotion of `x`, `gamma` and `shortcut`. Second derivatives are not supported.

    Args:
        x: `(b, h, w, c)`, normalised, contiguous.
        shortcut: `(b, c, h, w)` in any memory format, the input of the block.
        weight1, bias1: `(hidden, c)` and `(hidden,)`.
        weight2, bias2: `(c, hidden)` and `(c,)`.
        gamma: `(c,)`, the layer scale.
        sample_scale: `(b,)`, stochastic depth: 0 for dropped samples, 1 / keep for the others. It gets no gradient.
        backend: see `modernet.kernels.Backend`; float64 is always plain PyTorch.

    Returns:
        `(b, c, h, w)`; channels-last from the kernels, in the memory format of `shortcut` from plain PyTorch.
    """
    _check(x, shortcut, weight1, bias1, weight2, bias2, gamma, sample_scale)
    dtype = autocast_dtype(x)
    x = x.to(dtype)
    differentiated = (x, shortcut, weight1, bias1, weight2, bias2, gamma)
    training = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in differentiated)
    shape = (x.shape[-1], weight1.shape[0])
    if dtype == torch.float64 or not use_triton("mlp_residual", backend, x, shape, training=training):
        return mlp_residual_reference(x, shortcut, weight1, bias1, weight2, bias2, gamma, sample_scale)

    if torch.is_autocast_enabled(x.device.type):
        weight1, bias1, weight2, bias2 = (t.to(dtype) for t in (weight1, bias1, weight2, bias2))
    if any(t.dtype != dtype for t in (weight1, bias1, weight2, bias2)):
        raise InputError(f"x is {dtype} and weight1 {weight1.dtype}; give all weights the dtype of x, or use autocast")

    from modernet.kernels.mlp_residual.triton_kernel import mlp_residual_triton

    return mlp_residual_triton(x, shortcut, weight1, bias1, weight2, bias2, gamma, sample_scale, training=training)


def _check(
    x: Tensor,
    shortcut: Tensor,
    weight1: Tensor,
    bias1: Tensor,
    weight2: Tensor,
    bias2: Tensor,
    gamma: Tensor | None,
    sample_scale: Tensor | None,
) -> None:
    if x.ndim != 4:
        raise InputError(f"x has shape {tuple(x.shape)}; give channels-last maps (b, h, w, c)")
    b, h, w, c = x.shape
    hidden = weight1.shape[0]
    for name, tensor, shape in (
        ("shortcut", shortcut, (b, c, h, w)),
        ("weight1", weight1, (hidden, c)),
        ("bias1", bias1, (hidden,)),
        ("weight2", weight2, (c, hidden)),
        ("bias2", bias2, (c,)),
        ("gamma", gamma, (c,)),
        ("sample_scale", sample_scale, (b,)),
    ):
        if tensor is not None and tensor.shape != shape:
            raise InputError(
                f"{name} has shape {tuple(tensor.shape)}; x {tuple(x.shape)} and {hidden} hidden channels need {shape}"
            )
    if sample_scale is not None and sample_scale.requires_grad:
        raise InputError("sample_scale requires a gradient, which is not supported; give sample_scale.detach()")
