"""Which parameters decay, and how fast each layer learns."""

from __future__ import annotations

from typing import Any

from torch import nn

from modernet.errors import InputError
from modernet.models import Backbone


def parameter_groups(network: nn.Module, weight_decay: float, layer_decay: float = 1.0) -> list[dict[str, Any]]:
    """Parameters for an optimiser, in groups that share their weight decay and their share of the learning rate.

    Weights of convolutions and linear layers decay; norms, biases and scales do not: the rule of the ConvNeXt, DeiT and
    Swin releases, where one-dimensional parameters and biases are free.

    Args:
        layer_decay: the learning rate of a group of `Backbone.layer_groups` is this factor times that of the next one
            up; the head has the whole (Clark et al. 2020, "ELECTRA").

    Returns:
        Groups with `params`, `weight_decay` and `lr_scale`, a factor for the learning rate of the schedule.

    Raises:
        InputError: `layer_decay` is not 1 and the network does not know the order of its layers.
    """
    scales = _scales(network, layer_decay)
    groups: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        free = parameter.ndim <= 1 or name.endswith(".bias")
        groups.setdefault((scales[name], free), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": 0.0 if free else weight_decay, "lr_scale": scale}
        for (scale, free), parameters in sorted(groups.items(), key=lambda item: (-item[0][0], item[0][1]))
    ]


def _scales(network: nn.Module, layer_decay: float) -> dict[str, float]:
    """Name of a parameter -> its share of the learning rate."""
    if layer_decay == 1.0:
        return dict.fromkeys((name for name, _ in network.named_parameters()), 1.0)
    if not isinstance(network, Backbone):
        raise InputError(f"a {type(network).__name__} has no order of layers, so give --layer-decay 1")
    groups = network.layer_groups()
    return {name: layer_decay ** (len(groups) - 1 - index) for index, group in enumerate(groups) for name in group}
