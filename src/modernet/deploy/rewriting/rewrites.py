"""Exact rewrites for inference: fold norms and layer scales into adjacent weights.

Each rewrite changes a network in place and returns how often it applied. Apart from `merge_branches` and
`put_heads_first`, none depends on names or model classes: a trace of one forward pass (`trace.py`) shows where folding
is valid. A rewrite therefore holds for the execution path of that input, and for weights that are no longer trained.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from modernet.deploy.rewriting.projection import Projection, projection_of, used_once
from modernet.deploy.rewriting.trace import Arrival, Call, Trace, Value, Visit, follow, trace
from modernet.models import convnext, replknet, swin
from modernet.torch_internals import has_forward_hooks


def merge_branches(network: nn.Module, image: Tensor) -> int:
    """Merge parallel small kernels into the large ones of RepLKNet and large-kernel ConvNeXt."""
    branches = [module for module in network.modules() if isinstance(module, convnext.Block | replknet.LargeKernel)]
    return sum(module.merge() for module in branches)


def put_heads_first(network: nn.Module, image: Tensor) -> int:
    """Reorder queries, keys and values of shifted windows (Swin) so that they are not copied before the attention."""
    blocks = [module for module in network.modules() if isinstance(module, swin.Block) and module.shift]
    return sum(block.attn.put_heads_first() for block in blocks if not has_forward_hooks(block.attn.qkv))


def fold_norms_back(network: nn.Module, image: Tensor) -> int:
    """Fold a BatchNorm into the convolution or linear layer before it, if nothing else uses that layer's output."""
    record = trace(network, image)
    count = 0
    for call in record.calls:
        projection = projection_of(call, record)
        norm = None if projection is None else _only_arrival(projection)
        if projection is None or norm is None:
            continue
        affine, replacement = _batch_norm(norm.call), _without(norm.call, record)
        channels = None if affine is None else norm.along(1)
        if affine is None or replacement is None or channels is None:
            continue
        order = channels.argsort()
        if torch.equal(channels[order], torch.arange(projection.out_channels)):  # else the norm sees a subset
            projection.absorb_after(*affine.at(order))
            replacement.insert(network)
            count += 1
    return count


def fold_norms_forward(network: nn.Module, image: Tensor) -> int:
    """Fold a BatchNorm into the linear layers and unpadded convolutions after it, if nothing else uses its output."""
    record = trace(network, image)
    count = 0
    for call in record.calls:
        affine, replacement = _batch_norm(call), _without(call, record)
        if affine is not None and replacement is not None and _absorb_by_next(call.outputs[0], 1, affine, record):
            replacement.insert(network)
            count += 1
    return count


def fold_layer_norm_affines(network: nn.Module, image: Tensor) -> int:
    """Fold the affine part of a LayerNorm into the linear layers and unpadded convolutions after it.

    The normalisation itself stays, since mean and variance depend on the input.
    """
    record = trace(network, image)
    count = 0
    for call in record.calls:
        if call.name != "layer_norm" or len(call.argument(1, "normalized_shape")) != 1:
            continue
        weight, bias = call.argument(2, "weight"), call.argument(3, "bias")
        values = [value for value in (weight, bias) if value is not None]
        owners = [owner for owner in map(record.owner, values) if owner is not None]
        if not values or len(owners) < len(values) or not all(map(used_once, values)):
            continue
        affine = _Affine(weight.parameter, None if bias is None else bias.parameter)
        if _absorb_by_next(call.outputs[0], len(call.outputs[0].shape) - 1, affine, record):
            for module, attribute in owners:
                setattr(module, attribute, None)
            count += 1
    return count


def fold_layer_scales(network: nn.Module, image: Tensor) -> int:
    """Fold a parameter that multiplies the output of a linear layer or convolution into that layer.

    The parameter becomes None if the forward pass accepts that, as in this package, and ones otherwise.
    """
    record = trace(network, image)
    folded: list[tuple[nn.Module, str, Tensor]] = []
    count = 0
    for call in record.calls:
        projection = projection_of(call, record)
        product = None if projection is None else _only_arrival(projection)
        if projection is None or product is None or product.call.name not in _PRODUCTS:
            continue
        factor = next((value for value in product.call.inputs if value is not product.value), None)
        source = None if factor is None else _parameter_behind(factor)
        owner = record.owner(source)
        if factor is None or source is None or owner is None:
            continue
        scale = _scale_by_channel(factor, product, projection.out_channels)
        if scale is None:
            continue
        projection.absorb_after(scale)
        replacement = _without(product.call, record)
        if replacement is not None:
            replacement.insert(network)
        else:
            folded.append((*owner, torch.ones_like(_tensor(source))))
        count += 1
    _drop_or_neutralise(folded, network, image)
    return count


_PRODUCTS = frozenset(("mul", "mul_", "multiply", "__mul__", "__rmul__", "__imul__"))


class _Affine(NamedTuple):
    """`scale * x + shift`, per channel."""

    scale: Tensor
    shift: Tensor | None

    def at(self, channels: Tensor) -> _Affine:
        return _Affine(self.scale[channels], None if self.shift is None else self.shift[channels])


@dataclass(frozen=True)
class _Replacement:
    """What a module becomes once one of its operations is folded away."""

    module: nn.Module
    replacement: nn.Module

    def insert(self, network: nn.Module) -> None:
        for name, module in list(network.named_modules(remove_duplicate=False)):
            if module is self.module:
                network.set_submodule(name, self.replacement)


def _only_arrival(projection: Projection) -> Arrival | None:
    """Return the only call that uses a projection's output; None if there are several or none."""
    arrivals = follow(projection.output, projection.channel_dim)
    return arrivals[0] if arrivals is not None and len(arrivals) == 1 else None


def _absorb_by_next(value: Value, dim: int, affine: _Affine, record: Trace) -> bool:
    """Fold an affine map into every use of its output, if all are projections that can absorb it; return whether."""
    projections = []
    for arrival in follow(value, dim) or []:
        projection = projection_of(arrival.call, record)
        if projection is None or projection.is_padded or arrival.call.argument(0, "input") is not arrival.value:
            return False
        channels = arrival.along(projection.channel_dim)
        if channels is None:
            return False
        projections.append((projection, affine.at(channels)))
    for projection, permuted in projections:
        projection.absorb_before(*permuted)
    return bool(projections)


def _batch_norm(call: Call) -> _Affine | None:
    """Return the affine map of a BatchNorm with running statistics; None for any other call."""
    if call.name != "batch_norm" or call.argument(5, "training", False):  # uses batch statistics
        return None
    mean, variance = call.argument(1, "running_mean"), call.argument(2, "running_var")
    weight, bias = call.argument(3, "weight"), call.argument(4, "bias")
    if any(value is not None and value.parameter is None for value in (mean, variance, weight, bias)):
        return None  # computed in the forward pass
    scale = (variance.parameter + call.argument(7, "eps", 1e-5)).rsqrt()
    scale = scale if weight is None else scale * weight.parameter
    shift = -mean.parameter * scale
    return _Affine(scale, shift if bias is None else shift + bias.parameter)


def _without(call: Call, record: Trace) -> _Replacement | None:
    """Return what is left of a module without `call`, if it only does that call and then runs its children in order.

    None for any other module.
    """
    visit = call.visit
    if visit is None or visit.module is record.network or len(record.visits[visit.module]) != 1:
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
    return _Replacement(visit.module, nn.Sequential(*children) if children else nn.Identity())


def _is_constant(call: Call) -> bool:
    """Return whether a call only moves a parameter."""
    return len(call.inputs) == 1 and call.moves(call.inputs[0]) and _parameter_behind(call.inputs[0]) is not None


def _parameter_behind(value: Value) -> Value | None:
    """Return the parameter that a value is, or was moved from, if nothing else uses it."""
    if not used_once(value) or value.parameter is not None:
        return value if used_once(value) else None
    call = value.producer
    return _parameter_behind(call.inputs[0]) if call is not None and call.moves(*call.inputs[:1]) else None


def _tensor(value: Value) -> Tensor:
    """Return the tensor of a value that is a parameter or was moved from one."""
    if value.parameter is not None:
        return value.parameter
    assert value.producer is not None
    source = value.producer.inputs[0]
    outputs = value.producer.replay({source: _tensor(source)})
    return outputs[value.producer.outputs.index(value)]


def _scale_by_channel(factor: Value, product: Arrival, num_channels: int) -> Tensor | None:
    """Return the factor of each channel; None if the product is not per channel."""
    numbers = product.numbers()
    if numbers is None or product.call.outputs[0].shape != product.value.shape:
        return None
    factors = _tensor(factor)
    expanded = factors.cpu().expand(numbers.shape)
    scale = expanded.new_zeros(num_channels).index_put((numbers,), expanded)
    return scale.to(factors.device) if torch.equal(scale[numbers], expanded) else None


def _drop_or_neutralise(folded: list[tuple[nn.Module, str, Tensor]], network: nn.Module, image: Tensor) -> None:
    """Set each folded scale to None, or all of them to ones if the forward pass needs them."""
    for module, attribute, _ in folded:
        setattr(module, attribute, None)
    try:
        with torch.no_grad():
            network(image)
    except Exception:  # a forward pass that needs the parameter may raise anything
        for module, attribute, ones in folded:
            setattr(module, attribute, nn.Parameter(ones, requires_grad=False))
