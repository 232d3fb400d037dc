"""A network whose scores are known."""

from __future__ import annotations

from torch import Tensor, nn


class Lookup(nn.Module):
    """Scores that are known: row i of a table for the image whose first pixel is i."""

    def __init__(self, scores: Tensor) -> None:
        super().__init__()
        self.scores = scores

    def forward(self, images: Tensor) -> Tensor:
        return self.scores[(images[:, 0, 0, 0] * 255).round().long()]
