"""Cast the weights of a network, which may be complex, and its results."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from modernet.torch_internals import tree_map

Network = TypeVar("Network", bound=nn.Module)


def cast_copy(network: Network, dtype: torch.dtype) -> Network:
    """Return a copy of a network with its floating-point weights in a dtype, see `cast_weights`."""
    return cast_weights(copy.deepcopy(network), dtype)


def cast_weights(network: Network, dtype: torch.dtype) -> Network:
    """Cast the floating-point weights of a network, and return it.

    Complex weights become complex128 for float64, and stay complex64 otherwise: `Module.to` would drop their imaginary
    parts.
    """
    if not has_complex_weights(network):
        return network.to(dtype)
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(_cast(buffer.dtype, dtype)))
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.to(_cast(parameter.dtype, dtype))
    return network


def cast_results(results: Any, dtype: torch.dtype) -> Any:
    """Return a network's results with their floating-point tensors in a dtype."""

    def cast(leaf: Any) -> Any:
        return leaf.to(dtype) if isinstance(leaf, Tensor) and leaf.is_floating_point() else leaf

    return tree_map(cast, results)


def has_complex_weights(network: nn.Module) -> bool:
    return any(tensor.is_complex() for tensor in (*network.parameters(), *network.buffers()))


def _cast(own: torch.dtype, dtype: torch.dtype) -> torch.dtype:
    if own.is_complex:
        return torch.promote_types(dtype, torch.complex64)
    return dtype if own.is_floating_point else own
