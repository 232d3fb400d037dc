"""Softmax attention between all points of a cloud (Vaswani et al. 2017), never with all n x n weights in memory.

torch's own attention does so where queries and keys are as wide as values: here they are filled with zeros, which
change no product. A-SCN's last values are 16 times as wide; there zeros would cost more than a loop over blocks of
queries.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional as F

_AT_ONCE = 2**20
"""Weights that are computed at a time, so that they stay in the cache."""
_WIDEST = 64
"""Channels of a head's values, up to which torch's own attention is the faster on a CPU."""


def attention(q: Tensor, k: Tensor, v: Tensor, heads: int) -> Tensor:
    """softmax(q k^T / sqrt(d)) v for each head.

    Args:
        q, k: (b, n, heads * d).
        v: (b, n, heads * e).
        heads: the first d (or e) channels are those of the first head, and so on.

    Returns:
        (b, n, heads * e).
    """
    q, k, v = (torch.unflatten(x, -1, (heads, -1)).transpose(1, 2) for x in (q, k, v))  # b n h*d -> b h n d
    y: Tensor
    if _in_blocks(v):
        y = _Attention.apply(q * q.shape[-1] ** -0.5, k, v)
    else:
        zeros = (0, max(0, v.shape[-1] - q.shape[-1]))
        y = F.scaled_dot_product_attention(F.pad(q, zeros), F.pad(k, zeros), v, scale=q.shape[-1] ** -0.5)
    return y.transpose(1, 2).flatten(2)


def _in_blocks(v: Tensor) -> bool:
    """Whether a loop over blocks is the faster; it fixes the batch in exported files, and has no reduced precision."""
    eager = not torch.compiler.is_compiling() and not torch.is_autocast_enabled("cpu")
    return v.is_cpu and v.shape[-1] > _WIDEST and v.dtype in (torch.float32, torch.float64) and eager


class _Attention(torch.autograd.Function):
    """softmax(q k^T) v: (b, h, n, d), (b, h, n, d), (b, h, n, e) -> (b, h, n, e).

    Some queries of one cloud are answered at a time. The backward pass computes their weights again: nothing is kept
    but arguments and result.
    """

    @staticmethod
    def forward(ctx: Any, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        y = torch.empty_like(v)
        for cloud, rows in _blocks(q):
            torch.bmm(_weights(q[cloud, :, rows], k[cloud]), v[cloud], out=y[cloud, :, rows])
        ctx.save_for_backward(q, k, v, y)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v, y = ctx.saved_tensors
        q_grad, k_grad, v_grad = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        for cloud, rows in _blocks(q):
            weights, error = _weights(q[cloud, :, rows], k[cloud]), grad[cloud, :, rows]
            v_grad[cloud].baddbmm_(weights.mT, error)
            mean = (error * y[cloud, :, rows]).sum(-1, keepdim=True)
            error = torch.bmm(error, v[cloud].mT).sub_(mean).mul_(weights)  # of q k^T
            torch.bmm(error, k[cloud], out=q_grad[cloud, :, rows])
            k_grad[cloud].baddbmm_(error.mT, q[cloud, :, rows])
        return q_grad, k_grad, v_grad


def _blocks(q: Tensor) -> Iterator[tuple[int, slice]]:
    """Yield clouds and rows of their queries."""
    clouds, heads, points, _ = q.shape
    count = max(1, _AT_ONCE // (heads * points))
    for cloud in range(clouds):
        for start in range(0, points, count):
            yield cloud, slice(start, start + count)


def _weights(q: Tensor, k: Tensor) -> Tensor:
    """Return the weights of some queries: (h, rows, d), (h, n, d) -> (h, rows, n)."""
    return torch.softmax(torch.bmm(q, k.mT), -1)
