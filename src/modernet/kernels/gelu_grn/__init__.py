"""GELU and global response normalisation, the part between the two linear layers of a ConvNeXt V2 block."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.kernels.backend import Backend, use_triton
from modernet.kernels.gelu_grn.reference import gelu_grn_reference

__all__ = ["gelu_grn", "gelu_grn_reference"]


def gelu_grn(x: Tensor, gamma: Tensor, beta: Tensor, eps: float = 1e-6, *, backend: Backend = "auto") -> Tensor:
    """Apply GELU, then scale each channel by its relative norm over all positions (Woo et al. 2023, section 3).

        h = GELU(x)
        norm = L2 norm of h over positions                 b h w c -> b c
        ratio = norm / (mean of norm over channels + eps)
        y = gamma * h * ratio + beta + h

    The result has the dtype that PyTorch promotes `x` and `gamma` to: float32 for a half-precision `x` and float32
    parameters, as under autocast. If a half-precision linear layer follows, passing `gamma.to(x.dtype)` and
    `beta.to(x.dtype)` halves the bytes written.

    Memory traffic, in passes over the activation: forward 3 (one read for the norm, one read and one write), backward
    5 (two reads for the sums, two reads and one write). GELU is recomputed each time, so no intermediate is stored.
    Saved for backward: `x`, and the norm, one float32 number per channel and image. Second derivatives are not
    supported.

    Args:
        x: `(b, h, w, c)`, before the activation.
        gamma, beta: `(1, 1, 1, c)`.
        eps: added to the mean norm.
        backend: see `modernet.kernels.Backend`; float64 is always plain PyTorch.

    Returns:
        `(b, h, w, c)`, contiguous.
    """
    channels = x.shape[-1]
    if x.ndim != 4:
        raise InputError(f"x has shape {tuple(x.shape)}; give channels-last maps (b, h, w, c)")
    if gamma.shape != (1, 1, 1, channels) or beta.shape != (1, 1, 1, channels):
        raise InputError(
            f"gamma and beta have shapes {tuple(gamma.shape)} and {tuple(beta.shape)}; "
            f"x has {channels} channels, so give (1, 1, 1, {channels}) for both"
        )
    training = torch.is_grad_enabled() and any(t.requires_grad for t in (x, gamma, beta))
    if x.dtype == torch.float64 or not use_triton("gelu_grn", backend, x, (channels,), training=training):
        return gelu_grn_reference(x, gamma, beta, eps)

    from modernet.kernels.gelu_grn.triton_kernel import gelu_grn_triton

    return gelu_grn_triton(x, gamma, beta, eps)
