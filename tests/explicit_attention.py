"""Small mixers of sequences in double precision, and attention under an explicit mask to compare them with."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.attention import HeadMixer
from modernet.sequences.zoo import sequence_config


def mixer(name: str, steps: int, **changes: object) -> HeadMixer:
    """Return the mixer of a model's first block for sequences of at most so many steps: two heads of 8 channels."""
    torch.manual_seed(0)
    config = sequence_config(name, **{"width": 16, "heads": 2, "pool": "mean", **changes})
    made = config.mixer(SequenceInputs(steps, vocabulary=5), 0)
    return made.double().eval()  # type: ignore[return-value]


def projections(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return queries, keys and values (2, 2, n, 8)."""
    q, k, v = torch.randn(3, 2, 2, n, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    return q, k, v


def some_padding(n: int) -> Tensor:
    """Return which steps are not padding, bool (2, n): all, and two thirds."""
    return torch.arange(n) < torch.tensor([[n], [-(-2 * n // 3)]])


def index(n: int) -> tuple[Tensor, Tensor]:
    """Return the indices of queries (n, 1) and of keys (1, n)."""
    steps = torch.arange(n)
    return steps[:, None], steps[None]


def assert_is_attention(mixed: Tensor, q: Tensor, k: Tensor, v: Tensor, seen: Tensor, mask: Tensor) -> None:
    """Compare with softmax attention where a query sees what `seen` says, broadcastable to (b, h, n, n), but no
    padding; what steps in padding receive is not compared.
    """
    expected = F.scaled_dot_product_attention(q, k, v, seen & mask[:, None, None])
    where = mask[:, None].expand(mixed.shape[:3])
    torch.testing.assert_close(mixed[where], expected[where], rtol=1e-12, atol=1e-12)
