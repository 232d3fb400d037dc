"""Weights that are spread over processes (FSDP2), and how to make them whole again.

What is whole already passes through the same functions, so that a checkpoint is the same however a run was placed.
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


def spread(network: nn.Module, device: torch.device, processes: Processes, *, compile: bool = False) -> None:
    """Give each process a share of every weight; blocks are gathered, and compiled if wanted, one by one."""
    mesh = init_device_mesh(device.type, (processes.world,))
    for block in blocks_of(network):
        if compile:
            block.compile()
        fully_shard(block, mesh=mesh)
    # spread again after an evaluation, too, which no backward pass follows
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def exchange_gradients(network: nn.Module, exchange: bool) -> None:
    """Whether the next backward pass adds up the gradients of all processes, or only this one's."""
    assert isinstance(network, FSDPModule), "it was spread"
    network.set_requires_gradient_sync(exchange)


def whole_tensor(tensor: Tensor) -> Tensor:
    """A spread tensor, whole in every process."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def whole_weights(network: nn.Module, *, on_cpu: bool = False) -> dict[str, Any]:
    """The state dict of a network; on the CPU, the first process alone gets it."""
    return get_model_state_dict(network, options=StateDictOptions(full_state_dict=True, cpu_offload=on_cpu))


def whole_optimizer_state(network: nn.Module, optimizer: torch.optim.Optimizer) -> dict[str, Any] | None:
    """The state of an optimiser by the names of the weights, on the CPU of the first process; None before it has one.

    To ask torch for a state that is not there makes one, with a step in it that nobody took.
    """
    if not optimizer.state:
        return None
    return get_optimizer_state_dict(
        network, optimizer, options=StateDictOptions(full_state_dict=True, cpu_offload=True)
    )


def load_weights(network: nn.Module, weights: dict[str, Any]) -> None:
    """Put whole weights into a network, spread or not."""
    set_model_state_dict(network, weights, options=_LOADED)


def load_optimizer_state(network: nn.Module, optimizer: torch.optim.Optimizer, state: dict[str, Any] | None) -> None:
    """Put what `whole_optimizer_state` gave into the optimiser of a network, spread or not.

    Moments get the memory layout of their weights, since fused optimisers walk through both side by side: they come in
    torch's usual order from a run whose weights were spread, and a network that is whole has convolutions in
    channels_last.
    """
    if state is None:
        return
    set_optimizer_state_dict(network, optimizer, state, options=_LOADED)
    for weight, moments in optimizer.state.items():
        for key, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape and moment.stride() != weight.stride():
                moments[key] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)


def blocks_of(network: nn.Module) -> list[nn.Module]:
    """The layers that are spread and gathered as one: outermost members of sequences and lists, made of several."""
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
