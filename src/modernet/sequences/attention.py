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


class HeadMixer(Mixer):
    """The part that all kinds of attention share; a model adds `mix`."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        width = config.qkv_width or config.width
        if width % config.heads:
            raise InputError(f"{width} channels cannot be divided into {config.heads} heads; give a multiple")
        if config.causal and not self.can_be_causal:
            raise InputError(f"{type(self).__name__} has no causal form; leave out causal")
        self.heads = config.heads
        self.qkv = nn.Linear(config.width, 3 * width, bias=False)
        self.out = nn.Linear(width, config.width, bias=False)
        for weight in (*self.qkv.weight.chunk(3), self.out.weight):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        mixed: Tensor = self.out(self.mix(q, k, v, mask).transpose(1, 2).flatten(2))
        return mixed

    @abstractmethod
    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        """Mix values: q, k, v (b, heads, n, d), mask bool (b, n) or None -> (b, heads, n, d)."""


class SoftmaxAttention(HeadMixer):
    """softmax(q k^T / sqrt(d)) v: time n^2 d."""

    can_be_causal: ClassVar[bool] = True

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__(config)
        self.causal, self.rate = config.causal, config.attention_dropout

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        seen = None if mask is None else mask[:, None, None, :]
        if self.causal and seen is not None:
            seen = seen & torch.ones(q.shape[2], q.shape[2], dtype=torch.bool, device=q.device).tril()
        return F.scaled_dot_product_attention(
            q, k, v, seen, dropout_p=self.rate if self.training else 0.0, is_causal=self.causal and seen is None
        )


@dataclass(frozen=True, kw_only=True)
class TransformerConfig(SequenceConfig):
    """A Transformer encoder."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return SoftmaxAttention(self)


@register_sequence_model("Vaswani et al. 2017, arXiv 1706.03762")
def transformer() -> TransformerConfig:
    return TransformerConfig()
