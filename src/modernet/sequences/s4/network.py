"""The blocks of S4, and their norms."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from modernet.data.sequences.inputs import SequenceInputs
from modernet.sequences.s4.layer import StateSpaceMixer, StepDropout

if TYPE_CHECKING:
    from modernet.sequences.s4.config import StateSpaceConfig


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm over the steps of a batch that are not padding. (b, n, c) in and out.

    The authors' code counts padding too, so that statistics depend on what a sequence is in a batch with.
    """

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        if not self.training or mask is None:
            return super().forward(x.flatten(0, 1)).view(x.shape)
        weights = mask[..., None].to(torch.promote_types(x.dtype, torch.float32))
        count = weights.sum().clamp(min=1)
        mean = (x * weights).sum((0, 1)) / count
        variance = ((x - mean).square() * weights).sum((0, 1)) / count
        self._remember(mean.detach(), variance.detach(), count)
        y: Tensor = (x - mean) * (variance + self.eps).rsqrt() * self.weight + self.bias
        return y.to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor, count: Tensor) -> None:
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        assert self.momentum is not None
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean.to(self.running_mean), self.momentum)
            unbiased = variance * count / (count - 1).clamp(min=1)
            self.running_var.lerp_(unbiased.to(self.running_var), self.momentum)


class MaskedLayerNorm(nn.LayerNorm):
    """LayerNorm of each step, which padding does not concern. (b, n, c) in and out."""

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        return super().forward(x)


class StateSpaceBlock(nn.Module):
    """x + mixer(norm(x)), or norm(x + mixer(x)). (b, n, c) in and out."""

    def __init__(self, config: StateSpaceConfig, mixer: StateSpaceMixer) -> None:
        super().__init__()
        self.prenorm = config.prenorm
        self.norm = make_norm(config)
        self.mixer = mixer
        self.dropout = StepDropout(config.dropout, tied=config.tie_dropout)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        y = self.norm(x, mask) if self.prenorm else x
        x = x + self.dropout(self.mixer(y, mask))
        return x if self.prenorm else self.norm(x, mask)


class StateSpaceEncoder(nn.Module):
    """Blocks without MLPs; a norm at the end if they begin with theirs. (b, n, c) in and out."""

    def __init__(self, config: StateSpaceConfig, inputs: SequenceInputs) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(StateSpaceBlock(config, config.mixer(inputs, i)) for i in range(config.depth))
        self.norm = make_norm(config) if config.prenorm else None

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x if self.norm is None else self.norm(x, mask)


def make_norm(config: StateSpaceConfig) -> MaskedBatchNorm | MaskedLayerNorm:
    """Make the norm that a config names."""
    return (MaskedBatchNorm if config.norm == "batch" else MaskedLayerNorm)(config.width)
