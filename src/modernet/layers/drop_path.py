"""Stochastic depth."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn


class DropPath(nn.Module):
    """Drop the residual branch of a sample with probability `rate` in training (Huang et al. 2016, arXiv 1603.09382).

    Kept samples are divided by `1 - rate`, so the expectation is unchanged. The identity in evaluation. `(b, ...)` in
    and out.
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        scale = self.scale(x)
        return x if scale is None else (x.transpose(0, -1) * scale).transpose(0, -1)

    def scale(self, x: Tensor) -> Tensor | None:
        """Draw the factor of each sample, `(b,)`: 0 or `1 / (1 - rate)`. None for the identity."""
        if self.rate == 0.0 or not self.training:
            return None
        keep = 1.0 - self.rate
        return x.new_empty(x.shape[0]).bernoulli_(keep) / keep

    def extra_repr(self) -> str:
        return f"rate={self.rate:g}"


def drop_path_rates(rate: float, depths: Sequence[int]) -> list[list[float]]:
    """Return the rate of each block per stage, rising linearly from 0 at the first block to `rate` at the last."""
    total = sum(depths)
    flat = [rate * index / max(total - 1, 1) for index in range(total)]
    starts = [sum(depths[:stage]) for stage in range(len(depths))]
    return [flat[start : start + depth] for start, depth in zip(starts, depths, strict=True)]
