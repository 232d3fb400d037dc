"""Reformer's attention by hashing (Kitaev et al. 2020, arXiv 2001.04451, section 2).

    queries q are also the keys, k = q / |q|      so that similar steps find each other
    bucket(x) = argmax [x R; -x R]                R random
    sort by bucket, then by place; cut into chunks of m steps; a chunk sees itself and the one before

Of those a step sees the ones in its own bucket; itself only if there is no other. Several rounds of hashing see the
union of what each sees: a pair that several rounds have is counted once. The cost is n m d a round, and a sort. The
reversible layers of the paper, which only save memory, are not here.

The rotations R are drawn once for each layer, not for each step of training, and saved with the network. Padding is
sorted to the end.

`reformer_lra` is what the Arena's code computes (google-research/long-range-arena, models/reformer): one round, as
many chunks as buckets (of sequences of the greatest length and at least one step of padding), and the first chunk
sees the last; logits are q k^T times sqrt(d), not divided by it; keys are not normalised; no mask of buckets, nor of
a step itself; no output projection and no dropout of weights; `qkv_width` is ignored; all heads and layers have the
same R. Not kept: padding is hashed, sorted and seen there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.attention import HeadMixer
from modernet.sequences.blocks import Keys, attend, blocks, check_positive, known_mask, neighbours
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer

ONLY_ITSELF = 1e5  # what is taken from the logit of a step for itself, the paper's


@dataclass(frozen=True, kw_only=True)
class ReformerConfig(SequenceConfig):
    """A Transformer with attention by hashing."""

    chunk: int = 64
    """Steps of a chunk, m."""
    hashes: int = 2
    """Rounds of hashing."""
    buckets: int | None = None
    """Of a round: an even number, or 1 for no hashing; None: the paper's two for each chunk of the longest sequence."""
    seed: int = 0
    """Of the rotations."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        check_positive(chunk=self.chunk, hashes=self.hashes)
        buckets = 2 * -(-self.steps(inputs) // self.chunk) if self.buckets is None else self.buckets
        return HashAttention(self, buckets, seed=self.seed + block)


def rotations(heads: int, hashes: int, width: int, buckets: int, seed: int) -> Tensor:
    """Draw the rotations of hashes, (heads, hashes, width, ceil(buckets / 2)).

    Raises:
        InputError: the number of buckets is neither even nor 1.
    """
    if buckets < 1 or (buckets % 2 and buckets > 1):
        raise InputError(f"buckets is {buckets}; give an even number, or 1 for no hashing")
    shape = heads, hashes, width, -(-buckets // 2)
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), device="cpu")
    return drawn.to(torch.get_default_device())


def hashed(x: Tensor, rotations: Tensor, buckets: int) -> Tensor:
    """Return the bucket of each step of x (b, h, n, d) in each round, int64 (b, h, hashes, n)."""
    rotated = x.detach()[:, :, None] @ rotations.to(x.dtype)
    return torch.cat([rotated, -rotated], -1)[..., :buckets].argmax(-1)


def sorted_by(key: Tensor) -> tuple[Tensor, Tensor]:
    """Sort steps by their key (..., n), stably; return which step comes at each place, and the place of each step."""
    step = key.argsort(dim=-1, stable=True)
    return step, step.argsort(-1)


def take(x: Tensor, index: Tensor) -> Tensor:
    """Return vectors of x (b, h, n, d) by their index (b, h, m): (b, h, m, d)."""
    return x.gather(2, index[..., None].expand(-1, -1, -1, x.shape[-1]))


class HashAttention(HeadMixer):
    """Softmax attention to the steps of the same bucket that are near in the sorted order.

    Args:
        config: of the model.
        buckets: of each round of hashing.
        seed: of the rotations.
    """

    rotations: Tensor

    def __init__(self, config: ReformerConfig, buckets: int, seed: int) -> None:
        super().__init__(config, projections=2)
        self.chunk, self.buckets = config.chunk, buckets
        self.register_buffer("rotations", rotations(config.heads, config.hashes, self.head_width, buckets, seed))

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        n = q.shape[2]
        mask = blocks(known_mask(mask, q), self.chunk, -1).flatten(1)
        q, v = (blocks(x, self.chunk).flatten(2, 3) for x in (q, v))
        bucket = hashed(q, self.rotations, self.buckets).masked_fill(~mask[:, None, None], self.buckets)
        step, place = sorted_by(bucket)  # b h round n
        chunk = place // self.chunk
        # of queries and keys in one bucket, the labels are equal in one chunk, and differ by 1 in the next
        label = (bucket + 1) * (q.shape[2] // self.chunk + 1) + chunk + 1
        outputs, sums = [], []
        for i in range(step.shape[2]):
            output, log_sum = self.attend_in_round(i, q, v, label, step[:, :, i])
            outputs.append(take(output, place[:, :, i]))
            sums.append(take(log_sum, place[:, :, i]))
        shares = torch.stack(sums).softmax(0).to(v.dtype)
        return (torch.stack(outputs) * shares).sum(0)[:, :, :n]

    def attend_in_round(self, i: int, q: Tensor, v: Tensor, label: Tensor, step: Tensor) -> tuple[Tensor, Tensor]:
        """Attend in round i, in its sorted order.

        Args:
            i: the round.
            q: queries (b, h, n, d), n a multiple of the chunk.
            v: values, the same.
            label: (b, h, rounds, n); a query sees a key in a round if it has the key's label, or one more.
            step: the steps in sorted order, (b, h, n).

        Returns:
            Outputs (b, h, n, d), and the logarithms of the sums of weights (b, h, n, 1), in sorted order.
        """

        def pairs(x: Tensor) -> tuple[Tensor, Tensor]:  # (b, h, n) -> of queries and of keys, to be compared
            own = blocks(x.gather(2, step), self.chunk, -1)
            return own[..., :, None], neighbours(own, 1, 0, -2)[..., None, :]

        queries, values = blocks(take(q, step), self.chunk), neighbours(blocks(take(v, step), self.chunk), 1, 0)
        keys = neighbours(F.normalize(queries, dim=-1), 1, 0)
        logits = queries @ keys.mT * self.head_width**-0.5  # b h chunk step 2step
        logits = logits.to(torch.promote_types(logits.dtype, torch.float32))

        times, seen = torch.zeros_like(logits), torch.zeros_like(logits, dtype=torch.bool)
        for j, (own, its) in enumerate(map(pairs, label.unbind(2))):
            together = (own == its) | (own - 1 == its)
            times = times + together
            if j == i:
                seen = together
        own, its = pairs(torch.arange(1, q.shape[2] + 1, device=q.device).expand_as(step))
        logits = logits - torch.where(own == its, ONLY_ITSELF, times.clamp(min=1).log())
        logits = logits.masked_fill(~seen, -1e9)

        log_sum = logits.logsumexp(-1, keepdim=True)
        weights = F.dropout((logits - log_sum).exp().to(values.dtype), self.dropout)
        return (weights @ values).flatten(2, 3), log_sum.flatten(2, 3)


@register_sequence_model("Kitaev et al. 2020, arXiv 2001.04451")
def reformer() -> ReformerConfig:
    return ReformerConfig()


@dataclass(frozen=True, kw_only=True)
class ArenaReformerConfig(SequenceConfig):
    """A Transformer with the Arena's attention by hashing."""

    buckets: int = 10
    """Of the round of hashing, and chunks of the longest sequence: an even number, or 1."""
    seed: int = 0
    """Of the rotations."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        return ArenaHashAttention(self, self.steps(inputs))


class ArenaHashAttention(HeadMixer):
    """Softmax attention to the own chunk and the one before in the sorted order, with large logits.

    Args:
        config: of the model.
        steps: the greatest length, which sets the steps of a chunk.
    """

    rotations: Tensor

    def __init__(self, config: ArenaReformerConfig, steps: int) -> None:
        super().__init__(replace(config, qkv_width=None, attention_dropout=0.0), projections=2)
        self.out = nn.Identity()
        self.register_buffer("rotations", rotations(1, 1, self.head_width, config.buckets, config.seed))
        self.buckets, self.chunk = config.buckets, steps // config.buckets + 1

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        n = q.shape[2]
        mask = blocks(known_mask(mask, q), self.chunk, -1).flatten(1)
        q, v = (blocks(x, self.chunk).flatten(2, 3) for x in (q, v))
        bucket = hashed(q, self.rotations, self.buckets)[:, :, 0].masked_fill(~mask[:, None], self.buckets)
        step, place = sorted_by(bucket)  # b h n
        q, v = (blocks(take(x, step), self.chunk) for x in (q, v))  # b h chunk step d
        exists = torch.arange(n + -n % self.chunk, device=q.device) < mask.sum(1, keepdim=True)  # padding is at the end
        exists = blocks(exists, self.chunk, -1)
        before = exists.roll(1, 1)
        if q.shape[2] < self.buckets:
            before[:, 0] = False  # the last chunk of the longest sequence, of padding here
        keys, values = (torch.cat([x, x.roll(1, 2)], 3) for x in (q, v))
        seen = torch.cat([exists, before], -1)[:, None, :, None]
        return take(attend(q * self.head_width, Keys(keys, values, seen)), place)[:, :, :n]


@register_sequence_model("google-research/long-range-arena, lra_benchmarks/models/reformer")
def reformer_lra() -> ArenaReformerConfig:
    return ArenaReformerConfig()
