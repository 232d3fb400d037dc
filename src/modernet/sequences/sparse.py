"""The Sparse Transformer's fixed patterns (Child et al. 2019, arXiv 1904.10509, section 4.2).

A step sees its own block of l steps, and the last c steps of every block, which sum up theirs. Each head attends to
the union of both (the paper's merged head). With l near sqrt(n) the cost is c n sqrt(n) d.

    l = 4, c = 1, causal       query 6 of block 1:  . . . x | x x x . | . . . .
                   else                             . . . x | x x x x | . . . x

The paper's models generate, and are causal. As an encoder, here, a step sees both sides, unless `causal` is set.

`sparse_lra` is what the Arena's code computes (google-research/long-range-arena, models/sparse_transformer), there
with a dense mask: blocks of 50 and their last 10 steps, but their first as well; causal though an encoder, except
that the added step of `pool="cls"`, which is outside of the blocks, sees all and is seen by all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.attention import HeadMixer
from modernet.sequences.blocks import Keys, attend, attend_to_all, blocks, check_positive, known_mask
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class SparseConfig(SequenceConfig):
    """A Transformer with the fixed sparse patterns; the defaults are those of the paper's text model (Enwik8)."""

    block: int = 128
    """Steps of a block, l: the paper's stride."""
    summary: int = 32
    """Steps at the end of a block that all see, c."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        check_positive(block=self.block, summary=self.summary)
        return SparseAttention(self, range(max(0, self.block - self.summary), self.block), causal=self.causal)


class SparseAttention(HeadMixer):
    """Softmax attention to the own block, and to some columns of all blocks.

    Args:
        config: of the model.
        columns: of each block, which all see.
        causal: whether a step sees no later one.
        first_is_open: whether the first step is outside of the blocks, sees all and is seen by all.
    """

    can_be_causal: ClassVar[bool] = True

    def __init__(
        self, config: SparseConfig, columns: Sequence[int], *, causal: bool, first_is_open: bool = False
    ) -> None:
        super().__init__(config)
        self.block, self.columns = config.block, list(columns)
        self.causal, self.first_is_open = causal, first_is_open

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        mask = known_mask(mask, q)
        if not self.first_is_open:
            return self.pattern(q, k, v, mask, Keys(k[:, :, :0], v[:, :, :0], mask[:, :0]))
        first = attend_to_all(q[:, :, :1], k, v, mask, dropout=self.dropout)
        seen_by_all = Keys(k[:, :, :1], v[:, :, :1], mask[:, :1])
        rest = self.pattern(q[:, :, 1:], k[:, :, 1:], v[:, :, 1:], mask[:, 1:], seen_by_all)
        return torch.cat([first, rest], 2)

    def pattern(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor, seen_by_all: Keys) -> Tensor:
        """Mix steps in blocks; `seen_by_all` are further keys."""
        n, count = q.shape[2], -(-q.shape[2] // self.block)
        q, k, v = (blocks(x, self.block) for x in (q, k, v))  # b h block step d
        mask = blocks(mask, self.block, -1)  # b block step
        own = mask[:, None, :, None]
        if self.causal:
            own = own & mask.new_ones(self.block, self.block).tril()

        index = torch.arange(count, device=q.device)
        of_query, of_key = index[:, None], index.repeat_interleave(len(self.columns))
        elsewhere = of_key < of_query if self.causal else of_key != of_query  # the own block's are seen already
        summaries = mask[:, :, self.columns].flatten(1)[:, None] & elsewhere  # b block g
        always = seen_by_all.seen[:, None].expand(-1, count, -1)
        far = Keys(
            torch.cat([k[:, :, :, self.columns].flatten(2, 3), seen_by_all.k], 2),
            torch.cat([v[:, :, :, self.columns].flatten(2, 3), seen_by_all.v], 2),
            torch.cat([summaries, always], -1)[:, None, :, None],
        )
        return attend(q, Keys(k, v, own), far, dropout=self.dropout)[:, :, :n]


@register_sequence_model("Child et al. 2019, arXiv 1904.10509")
def sparse() -> SparseConfig:
    return SparseConfig()


@dataclass(frozen=True, kw_only=True)
class ArenaSparseConfig(SparseConfig):
    """A Transformer with the Arena's sparse patterns."""

    block: int = 50
    summary: int = 10

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        check_positive(block=self.block, summary=self.summary)
        if self.causal:
            raise InputError("sparse_lra is causal but for its added step; leave out causal, or use sparse")
        columns = sorted({0, *range(max(0, self.block - self.summary), self.block)})
        return SparseAttention(self, columns, causal=True, first_is_open=self.pool == "cls")


@register_sequence_model("google-research/long-range-arena, lra_benchmarks/models/sparse_transformer")
def sparse_lra() -> ArenaSparseConfig:
    return ArenaSparseConfig(pool="cls")
