"""Local attention: softmax attention inside blocks of w steps (Tay et al. 2020, arXiv 2011.04006, section 3).

    steps 0 1 2 | 3 4 5 | 6 7 8        each step sees those of its own block: n w d instead of n^2 d

`local_lra` is what the Arena's code computes (google-research/long-range-arena, models/local): its blocks are strided.
With k blocks a step sees the steps that equal it modulo k, and no neighbour. As the Arena pads to the greatest length,
k follows from that. Not kept: its mask of padding is that of contiguous blocks and hides the wrong steps, and the zeros
that fill the last block are seen.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.attention import HeadMixer
from modernet.sequences.blocks import Keys, attend, blocks, check_positive, known_mask
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class LocalConfig(SequenceConfig):
    """A Transformer with local attention."""

    block: int = 64
    """Steps of a block, w."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return LocalAttention(self)


class LocalAttention(HeadMixer):
    """Softmax attention inside blocks."""

    can_be_causal: ClassVar[bool] = True

    def __init__(self, config: LocalConfig) -> None:
        super().__init__(config)
        check_positive(block=config.block)
        self.block, self.causal = config.block, config.causal

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        seen = blocks(known_mask(mask, q), self.block, -1)[:, None, :, None]  # b 1 k 1 w
        if self.causal:
            seen = seen & seen.new_ones(self.block, self.block).tril()
        keys = Keys(blocks(k, self.block), blocks(v, self.block), seen)
        return attend(blocks(q, self.block), keys, dropout=self.dropout)[:, :, : q.shape[2]]


@register_sequence_model("Tay et al. 2020, arXiv 2011.04006")
def local() -> LocalConfig:
    return LocalConfig()


@dataclass(frozen=True, kw_only=True)
class ArenaLocalConfig(LocalConfig):
    """A Transformer with the Arena's local attention."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return ArenaLocalAttention(self, self.steps(inputs))


class ArenaLocalAttention(HeadMixer):
    """Softmax attention to the steps that are equal modulo the number of blocks.

    Args:
        config: its `block` is how many steps such a group has at most.
        steps: the greatest length, which sets the number of blocks.
    """

    def __init__(self, config: LocalConfig, steps: int) -> None:
        super().__init__(config)
        check_positive(block=config.block)
        self.stride = steps // config.block + 1

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        n = q.shape[2]
        seen = blocks(known_mask(mask, q), self.stride, -1).transpose(1, 2)[:, None, :, None]
        q, k, v = (blocks(x, self.stride).transpose(2, 3) for x in (q, k, v))  # b h stride group d
        mixed = attend(q, Keys(k, v, seen), dropout=self.dropout)
        return blocks(mixed, q.shape[3]).transpose(2, 3).flatten(2, 3)[:, :, :n]


@register_sequence_model("google-research/long-range-arena, lra_benchmarks/models/local")
def local_lra() -> ArenaLocalConfig:
    return ArenaLocalConfig()
