"""A classifier of sequences: embedding, blocks, pooling, head; one tower or two with the same weights.

As the Long Range Arena's (Tay et al. 2020, arXiv 2011.04006, and its code): pre-norm blocks with a norm at the end, an
MLP of one hidden layer as head, and for pairs [a, b, a * b, a - b], the paper's. Unlike there, padding never matters:
the mean is over the steps that a sequence has.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.layers.mlp import Mlp
from modernet.sequences.config import SequenceConfig


class Block(nn.Module):
    """Pre-norm: x += mixer(norm(x)); x += MLP(norm(x)). (b, n, c) in and out."""

    def __init__(self, config: SequenceConfig, inputs: SequenceInputs, index: int) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width)
        self.mixer = config.mixer(inputs, index)
        self.norm2 = nn.LayerNorm(config.width)
        self.mlp = Mlp(config.width, config.mlp_width)
        self.dropout = nn.Dropout(config.dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        x = x + self.dropout(self.mixer(self.norm1(x), mask))
        x = x + self.dropout(self.mlp(self.norm2(x)))
        return x


class Encoder(nn.Module):
    """Blocks, and a norm at the end. (b, n, c) in and out."""

    def __init__(self, config: SequenceConfig, inputs: SequenceInputs) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(config, inputs, index) for index in range(config.depth))
        self.norm = nn.LayerNorm(config.width)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        x = self.norm(x)
        return x


class SequenceBody(nn.Module):
    """Everything but the head: embedding and encoder.

    Args:
        config: of the model.
        inputs: what sequences are; see `SequenceInputs` for their shapes.
    """

    def __init__(self, config: SequenceConfig, inputs: SequenceInputs) -> None:
        super().__init__()
        self.config, self.inputs = config, inputs
        self.embedding: nn.Module
        if inputs.vocabulary is None:
            self.embedding = nn.Linear(inputs.channels, config.width)
        else:
            self.embedding = nn.Embedding(inputs.vocabulary, config.width)
        if config.pool == "cls":
            self.cls = nn.Parameter(torch.zeros(config.width))
        if config.positions == "learned":
            self.positions = nn.Parameter(0.02 * torch.randn(config.steps(inputs), config.width))
        elif config.positions == "sincos":
            self.register_buffer("positions", sincos(config.steps(inputs), config.width), persistent=False)
        self.dropout = nn.Dropout(config.dropout if config.embedding_dropout is None else config.embedding_dropout)
        self.encoder = config.encoder(inputs)

    def encode(self, values: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the encoder makes of every step, (b, n, c), and which steps are not padding, bool (b, n).
        With `pool="cls"` the first step is the added one.
        """
        return self.encode_embedded(self.embedding(values), self.inputs.mask(values, lengths))

    def encode_embedded(self, x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """As `encode`, of embedded steps, (b, n, c), and which of them are not padding, bool (b, n)."""
        if self.config.pool == "cls":
            x = torch.cat([self.cls.expand(x.shape[0], 1, -1), x], 1)
            mask = torch.cat([mask.new_ones(mask.shape[0], 1), mask], 1)
        if self.config.positions != "none":
            x = x + self.positions[: x.shape[1]]
        return self.encoder(self.dropout(x), mask), mask


class SequenceNetwork(SequenceBody):
    """Sequences -> logits (b, k).

    Args:
        config, inputs: as of `SequenceBody`.
        num_classes: k.
    """

    def __init__(self, config: SequenceConfig, inputs: SequenceInputs, num_classes: int) -> None:
        super().__init__(config, inputs)
        self.head = config.head(inputs, num_classes)

    def forward(
        self, values: Tensor, lengths: Tensor, other: Tensor | None = None, other_lengths: Tensor | None = None
    ) -> Tensor:
        """Classify sequences, or pairs: `SequenceInputs` says what `values` are; lengths are int64 (b,)."""
        x = self.pooled(values, lengths)
        if self.inputs.towers == 2:
            assert other is not None
            assert other_lengths is not None
            y = self.pooled(other, other_lengths)
            x = torch.cat([x, y, x * y, x - y], -1)
        logits: Tensor = self.head(x)
        return logits

    def pooled(self, values: Tensor, lengths: Tensor) -> Tensor:
        """Return one vector for each sequence, (b, c)."""
        x, mask = self.encode(values, lengths)
        if self.config.pool == "cls":
            return x[:, 0]
        if self.config.pool == "last":
            return x[torch.arange(x.shape[0], device=x.device), lengths.to(x.device) - 1]
        weights = mask[..., None].to(x.dtype)
        return (x * weights).sum(1) / weights.sum(1).clamp(min=1)


def sincos(steps: int, width: int) -> Tensor:
    """Return the positions of Vaswani et al. 2017 (arXiv 1706.03762), float32 (steps, width): sines in even channels,
    cosines in odd ones.
    """
    rates = torch.exp(-math.log(10_000) * torch.arange(0, width, 2, dtype=torch.float64) / width)
    angles = torch.arange(steps, dtype=torch.float64)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], -1).flatten(1)[:, :width].float()
