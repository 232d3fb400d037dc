"""BigBird (Zaheer et al. 2020, arXiv 2007.14062): a window, random keys, and global steps, all in blocks of w steps.

    block of queries i sees blocks   i - 1, i, i + 1      its window
                                     a few random ones    another choice for each i, each head and each layer
                                     the global ones      which also see all

The cost is n (3 + random + global) w d. As in the paper's BigBird-ITC, the first blocks are global: steps of the
sequence (and with `pool="cls"` the added one), not further tokens. The random blocks are chosen among those of
sequences of the greatest length, and saved with the network; a shorter sequence sees those of them that it has.

`bigbird_lra` is what the Arena's code computes (google-research/long-range-arena, models/bigbird): the first and the
last block are global, the last one of sequences of the greatest length (so that a shorter sequence may have none);
random blocks are among the first 1024 steps; weights of attention are not dropped. Not kept: the zeros that fill the
last block are seen there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.attention import HeadMixer
from modernet.sequences.blocks import Keys, attend, attend_to_all, blocks, check_positive, known_mask, neighbours
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class BigBirdConfig(SequenceConfig):
    """A Transformer with the attention of BigBird."""

    block: int = 64
    """Steps of a block, w."""
    random_blocks: int = 3
    """Random blocks that a block of queries sees."""
    global_blocks: int = 2
    """Blocks at the start that are global."""
    seed: int = 0
    """Of the choice of random blocks."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        check_positive(block=self.block, global_blocks=self.global_blocks)
        count = -(-self.steps(inputs) // self.block)
        everywhere = range(min(self.global_blocks, count))
        chosen = random_blocks(self.heads, count, self.random_blocks, everywhere, seed=self.seed + block)
        return BigBirdAttention(self, self.block, everywhere, chosen)


def random_blocks(
    heads: int, count: int, chosen: int, everywhere: Sequence[int], *, among: int | None = None, seed: int
) -> Tensor:
    """Choose random blocks of keys for each head and block of queries.

    Args:
        heads: of attention.
        count: of blocks.
        chosen: how many to choose.
        everywhere: the global blocks, which are not chosen; nor are a block and its neighbours.
        among: choose among the first so many blocks; None: among all.
        seed: of the choice.

    Returns:
        Indices int64 (heads, count, min(chosen, count)), -1 where there are fewer to choose from.
    """
    index = torch.arange(count, device="cpu")
    excluded = (index[:, None] - index).abs() <= 1
    excluded[:, list(everywhere)] = True
    if among is not None:
        excluded[:, among:] = True
    priorities = torch.rand(heads, count, count, generator=torch.Generator().manual_seed(seed), device="cpu")
    priorities, blocks = priorities.masked_fill(excluded, 2).topk(min(chosen, count), largest=False)
    return blocks.masked_fill(priorities == 2, -1).to(torch.get_default_device())


class BigBirdAttention(HeadMixer):
    """Softmax attention to neighbouring, random and global blocks.

    Args:
        config: of the model.
        block: steps of a block.
        everywhere: indices of the global blocks.
        chosen: random blocks for each head and block of queries, see `random_blocks`.
    """

    chosen: Tensor

    def __init__(self, config: SequenceConfig, block: int, everywhere: Sequence[int], chosen: Tensor) -> None:
        super().__init__(config)
        self.block, self.everywhere = block, list(everywhere)
        self.register_buffer("chosen", chosen)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        n, mask = q.shape[2], known_mask(mask, q)
        blocked_q, blocked_k, blocked_v = (blocks(x, self.block) for x in (q, k, v))  # b h block step d
        seen = blocks(mask, self.block, -1)  # b block step
        count = seen.shape[1]
        everywhere = [block for block in self.everywhere if block < count]

        not_global = seen.clone()
        not_global[:, everywhere] = False
        window = neighbours(not_global, 1, 1, -2)[:, None, :, None]  # b 1 block 1 3step
        chosen = self.chosen[:, :count]  # h block random
        exists = ((chosen >= 0) & (chosen < count))[..., None]
        chosen = chosen.clamp(0, count - 1)
        random = (seen[:, chosen] & exists).flatten(3)[:, :, :, None]  # b h block 1 random*step
        head = torch.arange(self.heads, device=q.device)[:, None, None]
        near = Keys(
            torch.cat([neighbours(blocked_k, 1, 1), blocked_k[:, head, chosen].flatten(3, 4)], 3),
            torch.cat([neighbours(blocked_v, 1, 1), blocked_v[:, head, chosen].flatten(3, 4)], 3),
            torch.cat([window.expand(-1, self.heads, -1, -1, -1), random], -1),
        )
        far = Keys(
            blocked_k[:, :, everywhere].flatten(2, 3),
            blocked_v[:, :, everywhere].flatten(2, 3),
            seen[:, everywhere].flatten(1)[:, None, None, None],
        )
        mixed = blocks(attend(blocked_q, near, far, dropout=self.dropout), self.block)
        rows = attend_to_all(blocked_q[:, :, everywhere].flatten(2, 3), k, v, mask, dropout=self.dropout)
        index = torch.tensor(everywhere, device=q.device)
        mixed = mixed.index_copy(2, index, blocks(rows, self.block).to(mixed.dtype))
        return mixed.flatten(2, 3)[:, :, :n]


@register_sequence_model("Zaheer et al. 2020, arXiv 2007.14062")
def bigbird() -> BigBirdConfig:
    return BigBirdConfig()


@dataclass(frozen=True, kw_only=True)
class ArenaBigBirdConfig(SequenceConfig):
    """A Transformer with the Arena's attention of BigBird."""

    block: int = 64
    """Steps of a block, w."""
    random_blocks: int = 3
    """Random blocks that a block of queries sees."""
    seed: int = 0
    """Of the choice of random blocks."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        check_positive(block=self.block)
        last = self.steps(inputs) // self.block
        everywhere, among = sorted({0, last}), max(1, 1024 // self.block)
        chosen = random_blocks(
            self.heads, last + 1, self.random_blocks, everywhere, among=among, seed=self.seed + block
        )
        return BigBirdAttention(replace(self, attention_dropout=0.0), self.block, everywhere, chosen)


@register_sequence_model("google-research/long-range-arena, lra_benchmarks/models/bigbird")
def bigbird_lra() -> ArenaBigBirdConfig:
    return ArenaBigBirdConfig()
