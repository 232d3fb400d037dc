"""Luna.

Ma et al., "Luna: Linear Unified Nested Attention", 2021, arXiv 2106.01540.

A second, short sequence p of l steps goes through the network next to x. A layer packs x into it, and x attends to what
was packed:

    y_p = Attn(p, x, x);  y_x = Attn(x, y_p, y_p);  x = norm(x + y_x);  p = norm(p + y_p);  x = norm(x + MLP(x))

Time n l d a head. p begins as learned numbers plus sines and cosines, and is carried from layer to layer; the last
layer's p is not used. Layers are post-norm and embeddings normed, as in the authors' code (XuezheMax/fairseq-apollo),
where y_p has no output projection. Linear layers have no bias, as in all models here. That code also shortens p to the
length of a sequence of fewer than l steps; here p is always whole. The paper's causal attention is not built.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.layers.mlp import Mlp
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.network import sincos


class CrossAttention(nn.Module):
    """Softmax attention of one sequence to another. Queries (b, n, c), context (b, m, c) -> (b, n, c)."""

    def __init__(self, config: SequenceConfig) -> None:
        super().__init__()
        self.heads, self.rate = config.heads, config.attention_dropout
        self.q = nn.Linear(config.width, config.width, bias=False)
        self.kv = nn.Linear(config.width, 2 * config.width, bias=False)
        for weight in (self.q.weight, *self.kv.weight.chunk(2)):
            nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, context: Tensor, mask: Tensor | None) -> Tensor:
        q = self.q(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # b h n d
        k, v = self.kv(context).unflatten(-1, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)  # b h m d
        seen = None if mask is None else mask[:, None, None, :]
        y = F.scaled_dot_product_attention(q, k, v, seen, dropout_p=self.rate if self.training else 0.0)
        return y.transpose(1, 2).flatten(2)


class LunaBlock(nn.Module):
    """A layer: x (b, n, c) and p (b, l, c) -> both; the last one leaves p as it is."""

    def __init__(self, config: SequenceConfig, *, last: bool) -> None:
        super().__init__()
        self.pack, self.unpack = CrossAttention(config), CrossAttention(config)
        self.out = nn.Linear(config.width, config.width, bias=False)
        nn.init.xavier_uniform_(self.out.weight)
        self.norm1 = nn.LayerNorm(config.width)
        self.norm_p = None if last else nn.LayerNorm(config.width)
        self.mlp = Mlp(config.width, config.mlp_width)
        self.norm2 = nn.LayerNorm(config.width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, p: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
        packed = self.pack(p, x, mask)
        x = self.norm1(x + self.dropout(self.out(self.unpack(x, packed, None))))
        x = self.norm2(x + self.dropout(self.mlp(x)))
        return x, p if self.norm_p is None else self.norm_p(p + self.dropout(packed))


class LunaEncoder(nn.Module):
    """Layers that carry p. (b, n, c) in and out."""

    positions: Tensor

    def __init__(self, config: LunaConfig) -> None:
        super().__init__()
        self.scale = config.width**0.5
        self.p = nn.Parameter(torch.randn(config.packed, config.width) / self.scale)
        self.register_buffer("positions", sincos(config.packed, config.width), persistent=False)
        self.norm, self.norm_p = nn.LayerNorm(config.width), nn.LayerNorm(config.width)
        self.blocks = nn.ModuleList(LunaBlock(config, last=index == config.depth - 1) for index in range(config.depth))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = self.norm(x)
        p = self.norm_p(self.scale * self.p + self.positions).expand(x.shape[0], -1, -1)
        for block in self.blocks:
            x, p = block(x, p, mask)
        return x


@dataclass(frozen=True, kw_only=True)
class LunaConfig(SequenceConfig):
    """A Luna encoder."""

    packed: int = 256
    """Steps of p; 16, 128 and 256 in the paper."""

    def __post_init__(self) -> None:
        if self.packed < 1:
            raise InputError(f"packed is {self.packed}; give 1 or more")
        if self.qkv_width not in (None, self.width):
            raise InputError(f"qkv_width is {self.qkv_width}; Luna adds what it packs to p, so leave it out")
        if self.width % self.heads:
            raise InputError(f"{self.width} channels cannot be divided into {self.heads} heads; give a multiple")
        if self.causal:
            raise InputError("Luna's causal form is not built; leave out causal")

    def encoder(self, inputs: SequenceInputs) -> nn.Module:
        return LunaEncoder(self)


@register_sequence_model("Ma et al. 2021, arXiv 2106.01540; Luna-256")
def luna() -> LunaConfig:
    return LunaConfig()
