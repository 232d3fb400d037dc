"""The arithmetic of 8-bit integers: which layers, which ranges, which scales."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TypeAlias

import torch
from torch import Tensor, nn

Layer: TypeAlias = nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.Linear
_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)

LEVELS = 255
"""Steps of an activation: its range is divided into so many."""

_CHUNK = 16
"""Images per forward pass of a calibration."""


@dataclass(frozen=True)
class Range:
    """What a layer's input was seen to be: scalars, or `(c,)` for a depthwise convolution. 0 is always inside."""

    low: Tensor
    high: Tensor

    def scale_and_zero(self) -> tuple[Tensor, int]:
        """Return the size of a step and the integer of 0: x is about `scale * (q - zero)` with q in 0 ... 255.

        The integer is 0 for inputs that are never negative; with a range per channel all channels share it.
        """
        if self.low.ndim:
            signed = bool((self.low < 0).any())
            bound = torch.maximum(self.high, -self.low)
            bound = bound.clamp_min(float(bound.max()) / LEVELS)  # a channel of zeros may not stay one
            return (_not_zero(bound / 127), 128) if signed else (_not_zero(bound / LEVELS), 0)
        scale = _not_zero((self.high - self.low) / LEVELS)
        return scale, int((-self.low / scale).round())


def quantizable(network: nn.Module) -> dict[str, Layer]:
    """Return the convolutions and linear layers of a network by name.

    Weights that are used in other ways are not among them: those of `nn.MultiheadAttention` and of transposed
    convolutions, those that two layers share, and those that are computed before each call by a parametrization.
    """
    layers = {name: module for name, module in network.named_modules() if isinstance(module, _LAYERS)}
    own = {name: dict(layer.named_parameters(recurse=False)).get("weight") for name, layer in layers.items()}
    uses = Counter(map(id, own.values()))
    return {name: layer for name, layer in layers.items() if own[name] is not None and uses[id(own[name])] == 1}


def is_depthwise(layer: Layer) -> bool:
    """Return whether every output channel of a layer sees one input channel."""
    return not isinstance(layer, nn.Linear) and layer.groups == layer.in_channels > 1


@torch.no_grad()
def input_ranges(network: nn.Module, images: Tensor) -> dict[str, Range]:
    """Return the ranges of the inputs of all layers that are called for these images, with a positional argument.

    Args:
        network: in evaluation mode.
        images: `(n, c, h, w)`.
    """
    ranges: dict[str, Range] = {}

    def watch(name: str, layer: Layer) -> torch.utils.hooks.RemovableHandle:
        def look(_: nn.Module, args: tuple[Tensor, ...]) -> None:
            if not args:  # called by keyword, which the hooks of the ranking do not see either
                return
            x = args[0].detach()
            if is_depthwise(layer):
                x = x.movedim(1 - layer.weight.ndim, 0).flatten(1)  # c, everything else
            low, high = x.aminmax(dim=1) if is_depthwise(layer) else x.aminmax()
            before = ranges.get(name, Range(torch.zeros_like(low), torch.zeros_like(high)))
            ranges[name] = Range(torch.minimum(before.low, low), torch.maximum(before.high, high))

        return layer.register_forward_pre_hook(look)

    handles = [watch(name, layer) for name, layer in quantizable(network).items()]
    try:
        for start in range(0, len(images), _CHUNK):
            network(images[start : start + _CHUNK])
    finally:
        for handle in handles:
            handle.remove()
    return ranges


def weight_scales(weight: Tensor, largest: int = 127) -> Tensor:
    """Return the size of a step for each output channel `(out,)`, symmetric: -largest ... largest."""
    return _not_zero(weight.flatten(1).abs().amax(1) / largest)


def run_rounded(layer: Layer, seen: Range, x: Tensor) -> Tensor:
    """Return in floating point what a layer returns with 8-bit integers for its input and its weight."""
    scale, zero = seen.scale_and_zero()
    if scale.ndim:
        scale = scale.view(-1, *[1] * (layer.weight.ndim - 2))  # c -> c h w
    x = ((x / scale + zero).round().clamp(0, LEVELS) - zero) * scale
    weight = layer.weight.data
    steps = weight_scales(weight).view(-1, *[1] * (weight.ndim - 1))
    layer.weight.data = (weight / steps).round() * steps
    try:
        return layer.forward(x)
    finally:
        layer.weight.data = weight


def _not_zero(scale: Tensor) -> Tensor:
    return torch.where(scale > 0, scale, torch.ones_like(scale))
