"""Changes to the classifier of a network before training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from modernet.errors import InputError
from modernet.models import Backbone
from modernet.weights import NetworkSpec


def with_pool(spec: NetworkSpec, pool: str | None) -> NetworkSpec:
    """Return the spec of a network with another pooling before its classifier; None changes nothing.

    Raises:
        InputError: the network is a step of the road, which has one kind of pooling.
    """
    if pool is None:
        return spec
    if spec.kind != "model":
        raise InputError(f"global_pool is {pool!r}, and {spec.name} averages its positions; leave it out")
    return replace(spec, fields={**spec.fields, "global_pool": pool})


def drop_features(network: Backbone, rate: float) -> None:
    """Add dropout before the classifier, in training mode; names and weights of the network stay as they are.

    Args:
        rate: in [0, 1); 0 changes nothing.
    """
    if rate == 0:
        return

    def drop(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
        return (F.dropout(inputs[0], rate, layer.training), *inputs[1:])

    for name in network.classifier_names():
        network.get_submodule(name).register_forward_pre_hook(drop)


def scale_head(network: Backbone, factor: float) -> None:
    """Multiply weights and biases of the classifier; with a small factor, training starts from nearly equal logits.

    Raises:
        InputError: the classifier has no linear layer, and the factor is not 1.
    """
    if factor == 1:
        return
    heads = [network.get_submodule(name) for name in network.classifier_names()]
    layers = [layer for head in heads for layer in head.modules() if isinstance(layer, nn.Linear)]
    if not layers:
        raise InputError(
            f"head_init_scale is {factor}, but the classifier of this {type(network).__name__} is not linear; give 1"
        )
    with torch.no_grad():
        for layer in layers:
            for parameter in layer.parameters():
                parameter.mul_(factor)
