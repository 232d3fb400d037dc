"""Exact rewrites for inference: what a norm or a layer scale does is done by the weights beside it.

Each changes a network in place and says how often. None goes by names or by classes of networks, but for the branches
that are merged: what may be rewritten is seen in a trace of one forward pass (`trace.py`), so a rewrite holds for the
path which that image took, and for numbers that no gradient step changes any more.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from modernet.deploy.rewriting.projection import Projection, projection_of, used_once
from modernet.deploy.rewriting.trace import Arrival, Call, Trace, Value, Visit, follow, trace
from modernet.models import convnext, replknet
from modernet.torch_internals import has_forward_hooks


def merge_branches(network: nn.Module, image: Tensor) -> int:
    """A small kernel beside a large one becomes part of it: RepLKNet, and ConvNeXt with large kernels."""
    branches = [module for module in network.modules() if isinstance(module, convnext.Block | replknet.LargeKernel)]
    return sum(module.merge() for module in branches)


def fold_norms_back(network: nn.Module, image: Tensor) -> int:
    """A BatchNorm into the convolution or linear layer that alone feeds it."""
    found = trace(network, image)
    count = 0
    for call in found.calls:
        projection = projection_of(call, found)
        norm = None if projection is None else _only_arrival(projection)
        if projection is None or norm is None:
            continue
        affine, rest = _batch_norm(norm.call), _without(norm.call, found)
        channels = None if affine is None else norm.along(1)
        if affine is None or rest is None or channels is None:
            continue
        order = channels.argsort()
        if torch.equal(channels[order], torch.arange(projection.out_channels)):  # else it sees some channels only
            projection.absorb_after(*affine.at(order))
            rest.take_place(network)
            count += 1
    return count


def fold_norms_forward(network: nn.Module, image: Tensor) -> int:
    """A BatchNorm into the linear layers and unpadded convolutions that take what it gives, where nothing else does."""
    found = trace(network, image)
    count = 0
    for call in found.calls:
        affine, rest = _batch_norm(call), _without(call, found)
        if affine is not None and rest is not None and _absorbed_by_next(call.outputs[0], 1, affine, found):
            rest.take_place(network)
            count += 1
    return count


def fold_layer_norm_affines(network: nn.Module, image: Tensor) -> int:
    """Scale and shift of a LayerNorm into the linear layers and unpadded convolutions that take what it gives.

    The norm itself stays: mean and variance are the image's.
    """
    found = trace(network, image)
    count = 0
    for call in found.calls:
        if call.name != "layer_norm" or len(call.argument(1, "normalized_shape")) != 1:
            continue
        weight, bias = call.argument(2, "weight"), call.argument(3, "bias")
        given = [value for value in (weight, bias) if value is not None]
        places = [place for place in map(found.owner, given) if place is not None]
        if not given or len(places) < len(given) or not all(map(used_once, given)):
            continue
        affine = _Affine(weight.parameter, None if bias is None else bias.parameter)
        if _absorbed_by_next(call.outputs[0], len(call.outputs[0].shape) - 1, affine, found):
            for module, attribute in places:
                setattr(module, attribute, None)
            count += 1
    return count


def fold_layer_scales(network: nn.Module, image: Tensor) -> int:
    """A parameter that multiplies what a linear layer or a convolution gives into that layer.

    It is then None where the forward pass takes that for "no layer scale", as ours do, and ones elsewhere.
    """
    found = trace(network, image)
    left: list[tuple[nn.Module, str, Tensor]] = []
    count = 0
    for call in found.calls:
        projection = projection_of(call, found)
        product = None if projection is None else _only_arrival(projection)
        if projection is None or product is None or product.call.name not in _PRODUCTS:
            continue
        factor = next((value for value in product.call.inputs if value is not product.value), None)
        source = None if factor is None else _parameter_behind(factor)
        place = found.owner(source)
        if factor is None or source is None or place is None:
            continue
        scale = _scale_by_channel(factor, product, projection.out_channels)
        if scale is None:
            continue
        projection.absorb_after(scale)
        rest = _without(product.call, found)
        if rest is not None:
            rest.take_place(network)
        else:
            left.append((*place, torch.ones_like(_tensor(source))))
        count += 1
    _take_away(left, network, image)
    return count


_PRODUCTS = frozenset(("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__"))


class _Affine(NamedTuple):
    """`scale * x + shift`, a number each for every channel."""

    scale: Tensor
    shift: Tensor | None

    def at(self, channels: Tensor) -> _Affine:
        return _Affine(self.scale[channels], None if self.shift is None else self.shift[channels])


@dataclass(frozen=True)
class _Rest:
    """What stays of a module that did one thing which is done elsewhere now."""

    module: nn.Module
    rest: nn.Module

    def take_place(self, network: nn.Module) -> None:
        for name, module in list(network.named_modules(remove_duplicate=False)):
            if module is self.module:
                network.set_submodule(name, self.rest)


def _only_arrival(projection: Projection) -> Arrival | None:
    """The one call that takes what a projection gives."""
    arrivals = follow(projection.output, projection.channel_dim)
    return arrivals[0] if arrivals is not None and len(arrivals) == 1 else None


def _absorbed_by_next(value: Value, dim: int, affine: _Affine, found: Trace) -> bool:
    """Whether every taker of a value is a projection that could, and now does, do what made the value."""
    takers = []
    for arrival in follow(value, dim) or []:
        projection = projection_of(arrival.call, found)
        if projection is None or projection.is_padded or arrival.call.argument(0, "input") is not arrival.value:
            return False
        channels = arrival.along(projection.channel_dim)
        if channels is None:
            return False
        takers.append((projection, affine.at(channels)))
    for projection, own in takers:
        projection.absorb_before(*own)
    return bool(takers)


def _batch_norm(call: Call) -> _Affine | None:
    """What a BatchNorm does by its running statistics; None for anything else."""
    if call.name != "batch_norm" or call.argument(5, "training", False):  # then by those of the images
        return None
    mean, variance = call.argument(1, "running_mean"), call.argument(2, "running_var")
    weight, bias = call.argument(3, "weight"), call.argument(4, "bias")
    if any(value is not None and value.parameter is None for value in (mean, variance, weight, bias)):
        return None  # computed anew each time
    scale = (variance.parameter + call.argument(7, "eps", 1e-5)).rsqrt()
    scale = scale if weight is None else scale * weight.parameter
    shift = -mean.parameter * scale
    return _Affine(scale, shift if bias is None else shift + bias.parameter)


def _without(call: Call, found: Trace) -> _Rest | None:
    """What a module that does a call, then runs its children in a row, is without the call; None for other modules."""
    visit = call.visit
    if visit is None or visit.module is found.network or len(found.visits[visit.module]) != 1:
        return None
    if has_forward_hooks(visit.module) or len(visit.inputs) != 1 or visit.inputs[0] not in call.inputs:
        return None
    steps = [step for step in visit.steps if isinstance(step, Visit) or not _is_constant(step)]
    if not steps or steps[0] is not call:
        return None
    value = call.outputs[0]
    for step in steps[1:]:
        if not isinstance(step, Visit) or step.inputs != [value] or len(step.outputs) != 1:
            return None
        value = step.outputs[0]
    if visit.outputs != [value]:
        return None
    children = [step.module for step in steps[1:] if isinstance(step, Visit)]
    return _Rest(visit.module, nn.Sequential(*children) if children else nn.Identity())


def _is_constant(call: Call) -> bool:
    """Whether it does no more than move a parameter."""
    return len(call.inputs) == 1 and call.moves(call.inputs[0]) and _parameter_behind(call.inputs[0]) is not None


def _parameter_behind(value: Value) -> Value | None:
    """The parameter that a value is, moved or not, if that serves nothing else."""
    if not used_once(value) or value.parameter is not None:
        return value if used_once(value) else None
    call = value.producer
    return _parameter_behind(call.inputs[0]) if call is not None and call.moves(*call.inputs[:1]) else None


def _tensor(value: Value) -> Tensor:
    """The numbers of a parameter or of one that was moved."""
    if value.parameter is not None:
        return value.parameter
    assert value.producer is not None
    source = value.producer.inputs[0]
    made = value.producer.again({source: _tensor(source)})
    return made[value.producer.outputs.index(value)]


def _scale_by_channel(factor: Value, product: Arrival, num_channels: int) -> Tensor | None:
    """The number that each channel is multiplied by; None if there is no such thing."""
    numbers = product.numbers()
    if numbers is None or product.call.outputs[0].shape != product.value.shape:
        return None
    factors = _tensor(factor)
    everywhere = factors.cpu().expand(numbers.shape)
    scale = everywhere.new_zeros(num_channels).index_put((numbers,), everywhere)
    return scale.to(factors.device) if torch.equal(scale[numbers], everywhere) else None


def _take_away(left: list[tuple[nn.Module, str, Tensor]], network: nn.Module, image: Tensor) -> None:
    """Set parameters to None, or all to these numbers if the network does not run so."""
    for module, attribute, _ in left:
        setattr(module, attribute, None)
    try:
        with torch.no_grad():
            network(image)
    except Exception:  # whatever a forward pass raises that wants its parameter
        for module, attribute, ones in left:
            setattr(module, attribute, nn.Parameter(ones, requires_grad=False))
