"""Sparse Sinkhorn attention (Tay et al. 2020, arXiv 2002.11296): blocks of w steps see themselves and a sorted block.

    block sums --MLP--> logits (k, k) --Sinkhorn--> P, doubly stochastic     k = n / w blocks
    sorted block j = sum_i P_ij block_i                                      a soft permutation of the blocks
    attention of block j's queries to the keys of block j and of sorted block j, in one softmax

Sinkhorn's iterations divide by the sums of rows and of columns in turn. In training the logits have Gumbel noise, and
they are divided by a temperature. The cost is n w d + k^2. Blocks without a step have a part of P of their own, so
that those with steps sort among themselves. The MLP has no bias at its end: a constant in a column of logits leaves P
as it is.

`sinkhorn_lra` is what the Arena's code computes (google-research/long-range-arena, models/sinkhorn_transformer): an
einsum sums over the blocks and, separately, over the weights of a softmax, which sum to 1. So every "sorted" block is
the sum of all blocks, and the sorting network, which changes nothing, is left out here. Blocks are strided, as in
`local_lra`; the outputs of attention to the own block and to the sum are added. Not kept: as in `local_lra`, and
padding is no part of the sum.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.attention import HeadMixer
from modernet.sequences.blocks import Keys, attend, blocks, check_positive, known_mask
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class SinkhornConfig(SequenceConfig):
    """A Transformer with Sinkhorn attention."""

    block: int = 64
    """Steps of a block, w."""
    iterations: int = 8
    """Of Sinkhorn's normalisation."""
    temperature: float = 0.75
    """By which the logits of the permutation are divided."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return SinkhornAttention(self, self.steps(inputs))


def doubly_stochastic(logits: Tensor, iterations: int) -> Tensor:
    """Divide exp(logits) (..., k, k) by the sums of its rows and columns in turn, until both are near 1."""
    for _ in range(iterations):
        logits = logits - logits.logsumexp(-1, keepdim=True)
        logits = logits - logits.logsumexp(-2, keepdim=True)
    return logits.exp()


class SinkhornAttention(HeadMixer):
    """Softmax attention to the own block, and to a sorted one.

    Args:
        config: of the model.
        steps: the greatest length, which sets the number of blocks that the sorting network knows.
    """

    def __init__(self, config: SinkhornConfig, steps: int) -> None:
        super().__init__(config)
        check_positive(block=config.block, iterations=config.iterations)
        if config.temperature <= 0:
            raise InputError(f"temperature is {config.temperature}; give more than 0")
        self.block, self.iterations, self.temperature = config.block, config.iterations, config.temperature
        self.sort = nn.Sequential(
            nn.Linear(self.head_width, self.head_width),
            nn.ReLU(),
            nn.Linear(self.head_width, -(-steps // self.block), bias=False),
        )

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        n = q.shape[2]
        seen = blocks(known_mask(mask, q), self.block, -1)  # b block step
        q, k, v = (blocks(x, self.block) for x in (q, k, v))  # b h block step d
        k, v = (x.masked_fill(~seen[:, None, ..., None], 0) for x in (k, v))
        permutation = self.permutation(k.sum(3), seen.any(2)).to(k.dtype)
        sorted_k, sorted_v = (torch.einsum("bhij,bhisd->bhjsd", permutation, x) for x in (k, v))
        sorted_seen = seen.any(1, keepdim=True).expand_as(seen)  # where any block has a step
        keys = Keys(
            torch.cat([k, sorted_k], 3),
            torch.cat([v, sorted_v], 3),
            torch.cat([seen, sorted_seen], -1)[:, None, :, None],
        )
        return attend(q, keys, dropout=self.dropout)[:, :, :n]

    def permutation(self, x: Tensor, exists: Tensor) -> Tensor:
        """Return where blocks go.

        Args:
            x: what blocks are, (b, h, k, d).
            exists: which blocks have a step, bool (b, k).

        Returns:
            (b, h, k, k), at least float32: the share of block i in sorted block j; of rows and columns that exist, the
            sums are near 1.
        """
        logits: Tensor = self.sort(x)[..., : x.shape[2]]
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))
        if self.training:
            logits = logits - torch.empty_like(logits).exponential_().log()  # Gumbel noise
        both = exists[:, None, :, None] & exists[:, None, None, :]
        itself = torch.eye(x.shape[2], dtype=torch.bool, device=x.device)  # where blocks without a step go
        apart = torch.where(itself, 0.0, -1e9).to(logits.dtype)
        return doubly_stochastic(torch.where(both, logits / self.temperature, apart), self.iterations)


@register_sequence_model("Tay et al. 2020, arXiv 2002.11296")
def sinkhorn() -> SinkhornConfig:
    return SinkhornConfig()


@dataclass(frozen=True, kw_only=True)
class ArenaSinkhornConfig(SequenceConfig):
    """A Transformer with the Arena's Sinkhorn attention."""

    block: int = 64
    """Steps of a block."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return ArenaSinkhornAttention(self, self.steps(inputs))


class ArenaSinkhornAttention(HeadMixer):
    """Softmax attention to the own strided block, and another to the sum of all blocks.

    Args:
        config: of the model.
        steps: the greatest length, which sets the number of blocks.
    """

    def __init__(self, config: ArenaSinkhornConfig, steps: int) -> None:
        super().__init__(config)
        check_positive(block=config.block)
        self.stride = steps // config.block + 1

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        n = q.shape[2]
        seen = blocks(known_mask(mask, q), self.stride, -1)  # b step block
        q, k, v = (blocks(x, self.stride).transpose(2, 3) for x in (q, k, v))  # b h block step d
        seen = seen.transpose(1, 2)
        local = attend(q, Keys(k, v, seen[:, None, :, None]), dropout=self.dropout)
        sum_k, sum_v = (x.masked_fill(~seen[:, None, ..., None], 0).sum(2, keepdim=True) for x in (k, v))
        sums = Keys(sum_k, sum_v, seen.any(1)[:, None, None, None])
        distant = attend(q.flatten(2, 3)[:, :, None], sums, dropout=self.dropout)
        return blocks(local + distant, q.shape[3]).transpose(2, 3).flatten(2, 3)[:, :, :n]


@register_sequence_model("google-research/long-range-arena, lra_benchmarks/models/sinkhorn_transformer")
def sinkhorn_lra() -> ArenaSinkhornConfig:
    return ArenaSinkhornConfig()
