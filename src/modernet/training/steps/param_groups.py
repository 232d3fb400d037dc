"""Parameter groups: weight decay, and learning rate per layer."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from torch import nn

from modernet.errors import InputError
from modernet.recipes import LayerGroups


@runtime_checkable
class Layered(Protocol):
    """A network that defines the order of its layers: a `Backbone`, or a `DenseNetwork` on one."""

    def layer_groups(self, groups: str = "block") -> list[list[str]]:
        """Return names of parameters by layer, the first one first."""

    def no_weight_decay(self) -> set[str]:
        """Return the multi-dimensional parameters exempt from weight decay."""


@runtime_checkable
class Dynamic(Protocol):
    """A layer with a state that evolves along a sequence, such as S4."""

    def dynamics(self) -> list[nn.Parameter]:
        """Return the parameters of how it evolves: they do not decay, and may have a learning rate of their own."""


def parameter_groups(
    network: nn.Module,
    weight_decay: float,
    layer_decay: float = 1.0,
    groups: LayerGroups = "block",
    decay_norms: bool = False,
    dynamics_scale: float = 1.0,
) -> list[dict[str, Any]]:
    """Return parameter groups for an optimizer, by weight decay and share of the learning rate.

    Weights of convolutions and linear layers decay; norms, biases, scales and the parameters in the network's
    `no_weight_decay` do not, as in the ConvNeXt, DeiT and Swin releases. Nor do the dynamics of state-space models, as
    in the S4 release. Parameters without gradient are left out.

    Args:
        layer_decay: factor of the learning rate from each group of layers to the one below; the head has the full rate
            (Clark et al. 2020, "ELECTRA").
        groups: kind of layer groups; see `Backbone.layer_groups`.
        decay_norms: decay every parameter but dynamics.
        dynamics_scale: factor of the learning rate of dynamics.

    Returns:
        Groups with `params`, `weight_decay` and `lr_scale`, a factor for the learning rate of the schedule.

    Raises:
        InputError: `layer_decay` is not 1, and the network does not define the order of its layers, or these groups.
    """
    scales = _scales(network, layer_decay, groups)
    exempt = network.no_weight_decay() if isinstance(network, Layered) else set()
    dynamics = {id(each) for layer in network.modules() if isinstance(layer, Dynamic) for each in layer.dynamics()}
    found: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        if not parameter.requires_grad:
            continue
        scale = scales[name]
        free = not decay_norms and (parameter.ndim <= 1 or name.endswith(".bias") or name in exempt)
        if id(parameter) in dynamics:
            scale, free = scale * dynamics_scale, True
        found.setdefault((scale, free), []).append(parameter)
    return [
        {"params": parameters, "weight_decay": 0.0 if free else weight_decay, "lr_scale": scale}
        for (scale, free), parameters in sorted(found.items(), key=lambda item: (-item[0][0], item[0][1]))
    ]


def _scales(network: nn.Module, layer_decay: float, groups: LayerGroups) -> dict[str, float]:
    """Return the share of the learning rate by name of the parameter."""
    if layer_decay == 1.0:
        return dict.fromkeys((name for name, _ in network.named_parameters()), 1.0)
    if not isinstance(network, Layered):
        raise InputError(f"a {type(network).__name__} does not define the order of its layers; give --layer-decay 1")
    layers = network.layer_groups(groups)
    return {name: layer_decay ** (len(layers) - 1 - index) for index, layer in enumerate(layers) for name in layer}
