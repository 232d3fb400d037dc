"""From the features of a box to its class and a better box."""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from modernet.detection.convolution import convolution
from modernet.detection.precision import at_least_float32

SIDE = 7
"""Positions of a box's features along each side."""

BoxHeadKind = Literal["2fc", "4conv1fc"]
"""Two hidden linear layers, or four convolutions with BatchNorm and one."""


class BoxHead(nn.Module):
    """Hidden layers, logits of the classes and the background, and offsets for each class.

    Args:
        width: channels of the features, and of the convolutions.
        hidden: channels of the hidden linear layers.
    """

    def __init__(self, num_classes: int, kind: BoxHeadKind, width: int = 256, hidden: int = 1024) -> None:
        super().__init__()
        convolutions, linear = (4, 1) if kind == "4conv1fc" else (0, 2)
        self.num_classes = num_classes
        self.shared_convs = nn.Sequential(*[convolution(width, norm=True) for _ in range(convolutions)])
        widths = [width * SIDE**2, *[hidden] * linear]
        self.shared_fcs = nn.ModuleList(nn.Linear(*pair) for pair in pairwise(widths))
        self.relu = nn.ReLU(inplace=True)
        self.fc_cls = nn.Linear(hidden, num_classes + 1)
        self.fc_reg = nn.Linear(hidden, 4 * num_classes)
        for layer in self.shared_fcs:
            assert isinstance(layer, nn.Linear)
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)
        for layer, std in ((self.fc_cls, 0.01), (self.fc_reg, 0.001)):
            nn.init.normal_(layer.weight, std=std)
            nn.init.zeros_(layer.bias)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Return logits `(n, k + 1)`, the background last, and offsets `(n, k, 4)` for features `(n, c, 7, 7)`."""
        x = self.shared_convs(features).flatten(1)  # n c 7 7 -> n (c 7 7)
        for layer in self.shared_fcs:
            x = self.relu(layer(x))
        logits, offsets = self.fc_cls(x), self.fc_reg(x).reshape(len(x), -1, 4)
        return at_least_float32(logits), at_least_float32(offsets)
