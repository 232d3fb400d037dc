"""Queries, keys and values of attention on sequences, and softmax attention itself (Vaswani et al. 2017).

    x  (b, n, c)  -> q, k, v (b, heads, n, d) -> the model's own mixing -> (b, heads, n, d) -> (b, n, c)

Linear layers have no bias and Xavier-uniform weights, as in the Long Range Arena's code.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


class Heads(Mixer):
    """The part that all kinds of attention share: projections to heads, and back.

    Args:
        config: of the model.
        projections: 3: queries, keys and values; 2: queries that are also the keys, and values; 1: values.
    """

    def __init__(self, config: SequenceConfig, projections: int = 3) -> None:
        super().__init__()
        width = config.qkv_width or config.width
        if width % config.heads:
            raise InputError(f"{width} channels cannot be divided into {config.heads} heads; give a multiple")
        if config.causal and not self.can_be_causal:
            raise InputError(f"{type(self).__name__} has no causal form; leave out causal")
        self.heads, self.head_width = config.heads, width // config.heads
        self.rate = config.attention_dropout
        self.qkv = nn.Linear(config.width, projections * width, bias=False)
        out = nn.Linear(width, config.width, bias=False)
        for weight in (*self.qkv.weight.chunk(projections), out.weight):
            nn.init.xavier_uniform_(weight)
        self.out: nn.Module = out

    def split(self, x: Tensor) -> tuple[Tensor, ...]:
        """Return the projections that x (b, n, projections * heads * d) has, each (b, heads, n, d)."""
        return torch.unflatten(x, -1, (-1, self.heads, self.head_width)).permute(2, 0, 3, 1, 4).unbind()

    def join(self, mixed: Tensor) -> Tensor:
        """Put heads (b, heads, n, d) together: (b, n, c)."""
        x: Tensor = self.out(mixed.transpose(1, 2).flatten(2))
        return x

    @property
    def dropout(self) -> float:
        """At which rate weights of attention are dropped now."""
        return self.rate if self.training else 0.0


class HeadMixer(Heads):
    """Attention by queries, keys and values; a model adds `mix`."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        projected = self.split(self.qkv(x))
        return self.join(self.mix(projected[0], projected[-2], projected[-1], mask))

    @abstractmethod
    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Mix values: q, k, v (b, heads, n, d), mask bool (b, n) or None -> (b, heads, n, d)."""


class SoftmaxAttention(HeadMixer):
    """softmax(q k^T / sqrt(d)) v: time n^2 d."""

    can_be_causal: ClassVar[bool] = True

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        self.causal = config.causal

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        seen = None if mask is None else mask[:, None, None, :]
        if self.causal and seen is not None:
            seen = seen & torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()
        return F.scaled_dot_product_attention(
            q, k, v, seen, dropout_p=self.dropout, is_causal=self.causal and seen is None
        )


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(SequenceConfig):
    """A Transformer encoder."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return SoftmaxAttention(self)


@register_sequence_model("Vaswani et al. 2017, arXiv 1706.03762")
def transformer() -> TransformerConfig:
    return TransformerConfig()
