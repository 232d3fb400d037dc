"""Attention of blocks: the queries of a block see a few blocks of keys, and some keys that all queries see.

With block size w and n steps the cost is n (m + g) d instead of n^2 d: m keys near a query's block, g for all.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.errors import InputError


class Keys(NamedTuple):
    """Keys, values, and which of them a query sees (bool)."""

    k: Tensor
    v: Tensor
    seen: Tensor


def known_mask(mask: Tensor | None, x: Tensor) -> Tensor:
    """Return the mask of x (b, h, n, d): bool (b, n), all True if there was none."""
    return x.new_ones(x.shape[0], x.shape[2], dtype=torch.bool) if mask is None else mask


def blocks(x: Tensor, size: int, dim: int = -2) -> Tensor:
    """Cut dimension `dim` (negative) into blocks: (..., n, ...) -> (..., ceil(n / size), size, ...). The last block is
    filled with 0 or False.
    """
    missing = -x.shape[dim] % size
    if missing:
        x = F.pad(x, (0, 0) * (-1 - dim) + (0, missing))
    return torch.unflatten(x, dim, (-1, size))


def neighbours(x: Tensor, before: int, after: int, dim: int = -3) -> Tensor:
    """Put blocks beside those before and after them: (..., k, w, ...) -> (..., k, (before + 1 + after) w, ...), where
    `dim` (negative) is that of k. What is before the first block and after the last is 0 or False.
    """
    around = F.pad(x, (0, 0) * (-1 - dim) + (before, after))
    return torch.cat([around.narrow(dim, i, x.shape[dim]) for i in range(before + 1 + after)], dim + 1)


def attend(q: Tensor, near: Keys, far: Keys | None = None, *, dropout: float = 0.0) -> Tensor:
    """softmax(q k^T / sqrt(d)) v, in one softmax over near and far keys.

    Args:
        q: (b, h, k, w, d): k blocks of w queries.
        near: keys of each block: k and v (b, h, k, m, d), seen broadcastable to (b, h, k, w, m).
        far: keys of all: k and v (b, h, g, d), seen broadcastable to (b, h, k, w, g).
        dropout: of the weights.

    Returns:
        (b, h, k * w, d). Queries that see nothing receive something finite.
    """
    k, v, seen = near
    if far is not None:
        count = q.shape[2]  # copies for each block take less than the logits would
        k = torch.cat([k, far.k[:, :, None].expand(-1, -1, count, -1, -1)], 3)
        v = torch.cat([v, far.v[:, :, None].expand(-1, -1, count, -1, -1)], 3)
        shape = (seen.any(-1) | far.seen.any(-1)).shape
        seen = torch.cat([seen.expand(*shape, -1), far.seen.expand(*shape, -1)], -1)
    seen = seen | ~seen.any(-1, keepdim=True)
    seen = seen.expand(q.shape[0], -1, q.shape[2], -1, -1)
    batch = q.shape[0]
    q, k, v, seen = (x.transpose(1, 2).flatten(0, 1) for x in (q, k, v, seen))  # b*k h ...: masks are for all heads
    mixed = F.scaled_dot_product_attention(q, k, v, seen, dropout_p=dropout)
    return torch.unflatten(mixed, 0, (batch, -1)).transpose(1, 2).flatten(2, 3)


def attend_to_all(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Softmax attention of a few queries (b, h, g, d) to all keys (b, h, n, d) but padding, mask bool (b, n)."""
    seen = (mask | ~mask.any(1, keepdim=True))[:, None, None]  # something finite where all is padding
    return F.scaled_dot_product_attention(q, k, v, seen, dropout_p=dropout)


def check_positive(**values: int) -> None:
    """Raise an InputError for a value below 1."""
    for name, value in values.items():
        if value < 1:
            raise InputError(f"{name} is {value}; give 1 or more")
