"""LayerNorm over channels, for maps in either memory format and for channels in the last dimension."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.kernels.backend import Backend, use_triton
from modernet.kernels.layer_norm.reference import layer_norm_reference

__all__ = ["layer_norm", "layer_norm_reference"]


def layer_norm(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float = 1e-6, *, channels_dim: int, backend: Backend = "auto"
) -> Tensor:
    """Normalise each position over its channels, then apply `weight` and `bias`.

    Ba, Kiros, Hinton, "Layer Normalization", 2016, arXiv 1607.06450. Dtypes follow `F.layer_norm`: under CUDA autocast
    the result is float32. The kernel reads and writes either memory format, where PyTorch first copies contiguous maps
    (`b c h w`) to channels-last.

    Memory traffic, in passes over the activation: forward 2 (one read, one write), backward 3 (two reads, one write).
    Saved for backward: `x`, and two float32 numbers per position. Second derivatives are not supported.

    Args:
        x: `(b, c, h, w)` with `channels_dim` 1, `(..., c)` with `channels_dim` -1; any memory format.
        weight, bias: `(c,)`.
        eps: added to the variance.
        channels_dim: 1 or -1.
        backend: see `modernet.kernels.Backend`; float64 is always plain PyTorch.

    Returns:
        The shape of `x`; the kernel also keeps its memory format.
    """
    _check(x, weight, bias, channels_dim)
    channels_last = channels_dim == -1 or x.is_contiguous(memory_format=torch.channels_last)
    training = torch.is_grad_enabled() and any(t.requires_grad for t in (x, weight, bias))
    shape = (weight.shape[0], int(channels_last))
    if x.dtype == torch.float64 or not use_triton("layer_norm", backend, x, shape, training=training):
        return layer_norm_reference(x, weight, bias, eps, channels_dim)

    from modernet.kernels.layer_norm.triton_kernel import layer_norm_triton

    return layer_norm_triton(x, weight, bias, eps, channels_dim)


def _check(x: Tensor, weight: Tensor, bias: Tensor, channels_dim: int) -> None:
    if channels_dim not in (1, -1):
        raise InputError(f"channels_dim is {channels_dim}; give 1 for maps (b, c, h, w), -1 for channels at the end")
    if channels_dim == 1 and x.ndim != 4:
        raise InputError(f"x has shape {tuple(x.shape)}; channels_dim=1 needs a map (b, c, h, w)")
    channels = (x.shape[channels_dim],)
    if weight.shape != channels or bias.shape != channels:
        raise InputError(
            f"weight and bias have shapes {tuple(weight.shape)} and {tuple(bias.shape)}; "
            f"x has {channels[0]} channels in dimension {channels_dim}, so give {channels} for both"
        )
