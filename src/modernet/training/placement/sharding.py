"""Weights sharded over processes (FSDP2), and how to gather them.

Networks that are not sharded pass through the same functions, so that checkpoints do not depend on the placement.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import (
    StateDictOptions,
    get_model_state_dict,
    get_optimizer_state_dict,
    set_model_state_dict,
    set_optimizer_state_dict,
)
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor

from modernet.processes import Processes

_LOADED = StateDictOptions(full_state_dict=True)


def shard(network: nn.Module, device: torch.device, processes: Processes, *, compile: bool = False) -> None:
    """Shard every weight over the processes; blocks are gathered, and compiled if requested, one at a time."""
    mesh = init_device_mesh(device.type, (processes.world,))
    for block in blocks_of(network):
        if compile:
            block.compile()
        fully_shard(block, mesh=mesh)
    # reshard after evaluations too, which have no backward pass
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def exchange_gradients(network: nn.Module, exchange: bool) -> None:
    """Set whether the next backward pass reduces gradients over processes, or accumulates those of this one."""
    assert isinstance(network, FSDPModule), "it was sharded"
    network.set_requires_gradient_sync(exchange)


def full_tensor(tensor: Tensor) -> Tensor:
    """Return a sharded tensor in full, in every process."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def full_weights(network: nn.Module, *, on_cpu: bool = False) -> dict[str, Any]:
    """Return the full state dict of a network; with `on_cpu`, on rank 0 only."""
    return get_model_state_dict(network, options=StateDictOptions(full_state_dict=True, cpu_offload=on_cpu))


def full_optimizer_state(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """Return the full state of an optimizer by the names of the weights, on the CPU of rank 0; None before it has any.

    `get_optimizer_state_dict` on a fresh optimizer would take a dummy step.
    """
    if not optimizer.state:
        return None
    return get_optimizer_state_dict(
        network, optimizer, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )


def load_weights(network: nn.Module, weights: dict[str, Any]) -> None:
    """Load full weights into a network, sharded or not."""
    set_model_state_dict(network, weights, options=_LOADED)


def load_optimizer_state(network: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any] | None) -> None:
    """Load what `full_optimizer_state` returned into the optimizer of a network, sharded or not.

    Moments get the memory layout of their weights, because fused optimizers index both alike: those of a run with
    sharded weights are contiguous, and the convolutions of an unsharded network are in channels_last.
    """
    if state is None:
        return
    set_optimizer_state_dict(network, optimizer, state, options=_LOADED)
    for weight, moments in optimizer.state.items():
        for key, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape and moment.stride() != weight.stride():
                moments[key] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """Return the blocks to shard and gather as one: outermost composite members of sequences and module lists."""
    found: list[nn.Module] = []
    inside: set[nn.Module] = set()
    for module in network.modules():
        if module in inside or not isinstance(module, nn.Sequential | nn.ModuleList):
            continue
        for member in module.children():
            if isinstance(member, nn.Sequential | nn.ModuleList) or not any(True for _ in member.children()):
                continue
            if member not in inside and any(True for _ in member.parameters()):
                found.append(member)
                inside.update(member.modules())
    return found
