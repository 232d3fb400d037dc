"""Networks for `torch.jit.script`, which cannot compile their classes."""

from __future__ import annotations

import torch
from torch import nn

from modernet.errors import InputError, one_line


def scriptable_graph(network: nn.Module) -> nn.Module:
    """Return the graph that `torch.jit.script` compiles instead of the classes of a network, which it cannot.

    Randomness of the training mode, such as stochastic depth, stays as it is at this moment.

    Raises:
        InputError: torch.fx cannot trace the network.
    """
    try:
        traced = torch.fx.symbolic_trace(network)
    except (TypeError, ValueError, RuntimeError) as error:
        kind, reason = type(network).__name__, one_line(error)
        raise InputError(
            f"TorchScript cannot take a {kind} ({reason}); use torch.jit.trace, or torch.export"
        ) from error
    for node in traced.graph.nodes:
        node.type = None  # torch.fx copies annotations as strings, which TorchScript takes for names of types
    traced.recompile()
    return traced
