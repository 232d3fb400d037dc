"""Synthesizer (Tay et al. 2020, arXiv 2005.00743): weights of attention that compare no queries with keys.

    random       softmax(R) v          R learned (heads, n, n), the same for all sequences: heads n^2 parameters
    factorized   softmax(R1 R2) v      of rank r: 2 heads n r parameters
    dense        softmax(MLP(x)) v     each step says from itself alone how it weighs the n steps

All cost n^2, as the paper's. Parameters are for sequences of the greatest length; shorter ones use their first rows
and columns, and padding is hidden before the softmax.

`synthesizer_lra` is what the Arena's code computes (google-research/long-range-arena, models/synthesizer) in all of
its tasks: the random logits are added to those of queries and keys, softmax(q k^T / sqrt(d) + R) v.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.attention import Heads
from modernet.sequences.blocks import check_positive
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class SynthesizerConfig(SequenceConfig):
    """A Transformer with synthetic attention."""

    form: Literal["random", "factorized", "dense"] = "random"
    """Where the logits come from."""
    rank: int = 8
    """Of the factorized form, r."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return SynthesizerAttention(self, self.synthesizer(self.steps(inputs)))

    def synthesizer(self, steps: int) -> nn.Module:
        """Make what gives the logits: x (b, n, c) -> (b or 1, heads, n, n)."""
        if self.form == "random":
            return RandomLogits(self.heads, steps)
        if self.form == "factorized":
            check_positive(rank=self.rank)
            return FactorizedLogits(self.heads, steps, self.rank)
        return DenseLogits(self.width, self.heads, (self.qkv_width or self.width) // self.heads, steps)


class RandomLogits(nn.Module):
    """Learned logits that do not depend on the sequence."""

    def __init__(self, heads: int, steps: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(xavier(heads, steps, steps))

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        return self.logits[None, :, :n, :n]


class FactorizedLogits(nn.Module):
    """Learned logits of low rank that do not depend on the sequence."""

    def __init__(self, heads: int, steps: int, rank: int) -> None:
        super().__init__()
        self.rows = nn.Parameter(xavier(heads, steps, rank))
        self.columns = nn.Parameter(xavier(heads, rank, steps))

    def forward(self, x: Tensor) -> Tensor:
        n = x.shape[1]
        logits: Tensor = self.rows[None, :, :n] @ self.columns[None, :, :, :n]
        return logits


class DenseLogits(nn.Module):
    """Logits that an MLP makes of each step."""

    def __init__(self, width: int, heads: int, hidden: int, steps: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width, heads * hidden)
        self.weight = nn.Parameter(xavier(heads, hidden, steps))
        self.bias = nn.Parameter(torch.zeros(heads, 1, steps))

    def forward(self, x: Tensor) -> Tensor:
        n, heads = x.shape[1], self.weight.shape[0]
        hidden = self.hidden(x).relu().unflatten(-1, (heads, -1)).transpose(1, 2)  # b h n d
        logits: Tensor = hidden @ self.weight[:, :, :n] + self.bias[:, :, :n]
        return logits


def xavier(heads: int, rows: int, columns: int) -> Tensor:
    """Return Xavier-uniform matrices (heads, rows, columns)."""
    return torch.stack([nn.init.xavier_uniform_(torch.empty(rows, columns)) for _ in range(heads)])


class SynthesizerAttention(Heads):
    """softmax(logits) v, where a synthesizer makes the logits.

    Args:
        config: of the model.
        synthesizer: x (b, n, c) -> (b or 1, heads, n, n).
        projections: 1: values; 3: queries and keys too, whose logits are added.
    """

    can_be_causal: ClassVar[bool] = True

    def __init__(self, config: SequenceConfig, synthesizer: nn.Module, projections: int = 1) -> None:
        super().__init__(config, projections)
        self.synthesizer, self.causal = synthesizer, config.causal

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        *qk, v = self.split(self.qkv(x))
        logits = self.synthesizer(x)
        if qk:
            logits = logits + qk[0] * self.head_width**-0.5 @ qk[1].mT
        return self.join(F.dropout(self.weights(logits, mask), self.dropout) @ v)

    def weights(self, logits: Tensor, mask: Tensor | None) -> Tensor:
        """Return the weights of attention (b or 1, heads, n, n) for logits of that shape."""
        lowest = torch.finfo(logits.dtype).min
        if self.causal:
            n = logits.shape[-1]
            logits = logits.masked_fill(~torch.ones(n, n, dtype=torch.bool, device=logits.device).tril(), lowest)
        if mask is not None:
            logits = logits.masked_fill(~mask[:, None, None], lowest)
        return logits.softmax(-1)


@register_sequence_model("Tay et al. 2020, arXiv 2005.00743")
def synthesizer() -> SynthesizerConfig:
    return SynthesizerConfig()


@register_sequence_model("Tay et al. 2020, arXiv 2005.00743")
def synthesizer_dense() -> SynthesizerConfig:
    return SynthesizerConfig(form="dense")


@dataclass(frozen=True, kw_only=True)
class ArenaSynthesizerConfig(SynthesizerConfig):
    """A Transformer with the Arena's synthetic attention."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return SynthesizerAttention(self, self.synthesizer(self.steps(inputs)), projections=3)


@register_sequence_model("google-research/long-range-arena, lra_benchmarks/models/synthesizer")
def synthesizer_lra() -> ArenaSynthesizerConfig:
    return ArenaSynthesizerConfig()
