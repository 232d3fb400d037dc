"""Longformer (Beltagy et al. 2020, arXiv 2004.05150): a window around each step, and a few steps that see all.

    window 2, one global step      x x x x x
                                   x x x . .      cost n w d: chunks of w / 2 queries with the keys of their own chunk
                                   x x x x .      and of those before and after
                                   x . x x x
                                   x . . x x

A step sees half of w on each side. The first `global_steps` (with `pool="cls"` the added step, as the paper has it
for classification) see all steps through queries, keys and values of their own, and all see them; for the latter the
keys and values are those of the window, as in the authors' code. Without dilation, as the paper's pretrained models.

`longformer_lra` is what the Arena's code computes (google-research/long-range-arena, models/longformer), there with a
dense mask: nothing is global, not even the added step, and of an even window the left side has one step less, its half
of w without the step itself. The projections for global steps, which nothing uses there, are left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.errors import InputError
from modernet.sequences.attention import HeadMixer
from modernet.sequences.blocks import Keys, attend, attend_to_all, blocks, known_mask, neighbours
from modernet.sequences.config import SequenceConfig, register_sequence_model
from modernet.sequences.mixer import Mixer


@dataclass(frozen=True, kw_only=True)
class LongformerConfig(SequenceConfig):
    """A Transformer with the window and the global steps of Longformer."""

    window: int = 512
    """Steps that a step sees besides itself, w: half on each side."""
    global_steps: int = 1
    """How many steps at the start are global."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        check_window(self.window)
        return WindowAttention(self, self.window // 2, self.window // 2, self.global_steps)


class WindowAttention(HeadMixer):
    """Softmax attention to a window, and from and to the first steps.

    Args:
        config: of the model.
        left: steps of the window before a step.
        right: after it.
        global_steps: the number of first steps that see all and are seen by all.
    """

    def __init__(self, config: SequenceConfig, left: int, right: int, global_steps: int) -> None:
        super().__init__(config)
        self.left, self.right, self.global_steps = left, right, global_steps
        if global_steps:
            self.global_qkv = nn.Linear(self.qkv.in_features, self.qkv.out_features, bias=False)
            for weight in self.global_qkv.weight.chunk(3):
                nn.init.xavier_uniform_(weight)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        q, k, v = self.split(self.qkv(x))
        mixed = self.mix(q, k, v, mask)
        if self.global_steps:
            q, k, v = self.split(self.global_qkv(x))
            first = attend_to_all(q[:, :, : self.global_steps], k, v, known_mask(mask, q), dropout=self.dropout)
            mixed = torch.cat([first, mixed[:, :, self.global_steps :]], 2)
        return self.join(mixed)

    def mix(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None) -> Tensor:
        n, count = q.shape[2], self.global_steps
        mask = known_mask(mask, q)
        far = Keys(k[:, :, :count], v[:, :, :count], mask[:, None, None, None, :count]) if count else None

        size = min(
            n, max(self.left, self.right)
        )  # of a chunk: the windows of its steps are within it and its neighbours
        q, k, v = (blocks(x, size) for x in (q, k, v))
        steps = torch.arange(3 * size, device=q.device)
        distance = steps - size - steps[:size, None]
        window = (distance >= -self.left) & (distance <= self.right)
        local = mask & (torch.arange(n, device=q.device) >= count)  # the global ones are in `far`
        seen = neighbours(blocks(local, size, -1), 1, 1, -2)[:, None, :, None] & window
        near = Keys(neighbours(k, 1, 1), neighbours(v, 1, 1), seen)
        return attend(q, near, far, dropout=self.dropout)[:, :, :n]


def check_window(window: int) -> None:
    """Raise an InputError for a window without a neighbour."""
    if window < 2:
        raise InputError(f"window is {window}; give 2 or more")


@register_sequence_model("Beltagy et al. 2020, arXiv 2004.05150")
def longformer() -> LongformerConfig:
    return LongformerConfig()


@dataclass(frozen=True, kw_only=True)
class ArenaLongformerConfig(SequenceConfig):
    """A Transformer with the Arena's window, and nothing global."""

    window: int = 512
    """Steps that a step sees, itself included: half on the right, the others on the left."""

    def mixer(self, inputs: SequenceInputs, block: int) -> Mixer:
        check_window(self.window)
        return WindowAttention(self, self.window - self.window // 2 - 1, self.window // 2, 0)


@register_sequence_model("google-research/long-range-arena, lra_benchmarks/models/longformer")
def longformer_lra() -> ArenaLongformerConfig:
    return ArenaLongformerConfig()
