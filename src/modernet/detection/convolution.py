"""The 3x3 convolution of the heads."""

from __future__ import annotations

from collections import OrderedDict

from torch import nn


def convolution(width: int, *, norm: bool = False) -> nn.Sequential:
    """Return a 3x3 convolution that keeps `(n, width, h, w)`, and ReLU; with `norm`, BatchNorm instead of the bias."""
    conv = nn.Conv2d(width, width, 3, padding=1, bias=not norm)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    if conv.bias is not None:
        nn.init.zeros_(conv.bias)
    layers: list[tuple[str, nn.Module]] = [("conv", conv)]
    if norm:
        layers.append(("bn", nn.BatchNorm2d(width)))
    return nn.Sequential(OrderedDict([*layers, ("relu", nn.ReLU(inplace=True))]))
