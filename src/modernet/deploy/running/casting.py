"""Cast the weights of a network that may have complex ones."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def cast_copy(network: Network, dtype: torch.dtype) -> Network:
    """Return a copy of a network with its floating-point weights in a dtype.

    Complex weights become complex128 for float64, and stay complex64 otherwise: `Module.to` would drop their imaginary
    parts.
    """
    network = copy.deepcopy(network)
    if not has_complex_weights(network):
        return network.to(dtype)
    for module in network.modules():
        for name, buffer in module.named_buffers(recurse=False):
            setattr(module, name, buffer.to(_cast(buffer.dtype, dtype)))
        for parameter in module.parameters(recurse=False):
            parameter.data = parameter.data.to(_cast(parameter.dtype, dtype))
    return network


def has_complex_weights(network: nn.Module) -> bool:
    return any(tensor.is_complex() for tensor in (*network.parameters(), *network.buffers()))


def _cast(own: torch.dtype, dtype: torch.dtype) -> torch.dtype:
    if own.is_complex:
        return torch.promote_types(dtype, torch.complex64)
    return dtype if own.is_floating_point else own
