"""State-space models by their dense matrices, in float64: the truth for kernels."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.layers.state_space import DplrKernel, StateSpaceKernel
from modernet.layers.state_space.kernel import complex_of


def both(x: Tensor) -> Tensor:
    """Return complex numbers (..., n) and their conjugates, (..., 2 n)."""
    return torch.cat([x, x.conj()], -1)


def dense_dplr(a: Tensor, p: Tensor) -> Tensor:
    """Return diag(a) - p pᴴ of a and p (c, n / 2) and their conjugates: complex128 (c, n, n)."""
    p = both(p)
    return torch.diag_embed(both(a)) - p[:, :, None] * p.conj()[:, None, :]


def dense_model(kernel: StateSpaceKernel, c: Tensor, rate: float = 1.0) -> tuple[Tensor, Tensor, Tensor]:
    """Return Ā, B̄ (bilinear) and C of each channel: complex128 (c, n, n), (c, n) and (s, c, n)."""
    if isinstance(kernel, DplrKernel):
        matrix = dense_dplr(kernel.a(), kernel.each(complex_of(kernel.p)))
    else:
        matrix = torch.diag_embed(both(kernel.a()))
    half = kernel.dt(rate)[:, None, None] / 2 * matrix
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype)
    inverse = torch.linalg.inv(eye - half)
    b = (inverse @ both(kernel.inputs())[..., None])[..., 0] * kernel.dt(rate)[:, None]
    return inverse @ (eye + half), b, both(complex_of(c))


def powers_kernel(kernel: StateSpaceKernel, c: Tensor, length: int, rate: float = 1.0) -> Tensor:
    """Return C Ā^l B̄ for l below `length`, float64 (s, c, length), where C is `c` as pairs of real numbers."""
    matrix, x, c = dense_model(kernel, c, rate)
    found = []
    for _ in range(length):
        found.append((c * x).sum(-1))
        x = (matrix @ x[..., None])[..., 0]
    values = torch.stack(found, -1)
    assert values.imag.abs().max() <= 1e-9 * values.real.abs().max()
    return values.real
