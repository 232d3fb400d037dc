"""The MLP of a transformer block."""

from __future__ import annotations

from torch import Tensor, nn


class Mlp(nn.Module):
    """Linear -> GELU -> linear over the last dimension. `(..., c)` in and out.

    Args:
        dim: input and output channels.
        hidden: hidden channels.
    """

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Linear(dim, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, dim)

    def forward(self, x: Tensor) -> Tensor:
        x = self.fc2(self.act(self.fc1(x)))
        return x
