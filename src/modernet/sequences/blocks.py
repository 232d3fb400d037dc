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
        far: keys of all: k and v (b, h, g, d), seen broadcastable to (b, h, k * w, g).
        dropout: of the weights.

    Returns:
        (b, h, k * w, d). Queries that see nothing receive something finite.
    """
    if far is None:
        seen = near.seen | ~near.seen.any(-1, keepdim=True)
        seen = seen.expand(*q.shape[:3], *seen.shape[3:]).flatten(1, 2)
        mixed = F.scaled_dot_product_attention(
            q.flatten(1, 2), near.k.flatten(1, 2), near.v.flatten(1, 2), seen, dropout_p=dropout
        )
        return torch.unflatten(mixed, 1, q.shape[1:3]).flatten(2, 3)
    q = q * q.shape[-1] ** -0.5
    near_logits, far_logits = (q @ near.k.mT).flatten(2, 3), q.flatten(2, 3) @ far.k.mT
    near_seen = near.seen.expand(-1, -1, q.shape[2], q.shape[3], -1).flatten(2, 3)
    lowest = torch.finfo(near_logits.dtype).min
    logits = torch.cat([near_logits.masked_fill(~near_seen, lowest), far_logits.masked_fill(~far.seen, lowest)], -1)
    weights = F.dropout(logits.softmax(-1), dropout)
    count = near.k.shape[-2]
    near_weights, far_weights = torch.unflatten(weights[..., :count], 2, q.shape[2:4]), weights[..., count:]
    return (near_weights @ near.v).flatten(2, 3) + far_weights @ far.v


def attend_to_all(q: Tensor, k: Tensor, v: Tensor, mask: Tensor, *, dropout: float = 0.0) -> Tensor:
    """Softmax attention of a few queries (b, h, g, d) to all keys (b, h, n, d) but padding, mask bool (b, n)."""
    return F.scaled_dot_product_attention(q, k, v, mask[:, None, None], dropout_p=dropout)


def check_positive(**values: int) -> None:
    """Raise an InputError for a value below 1."""
    for name, value in values.items():
        if value < 1:
            raise InputError(f"{name} is {value}; give 1 or more")
