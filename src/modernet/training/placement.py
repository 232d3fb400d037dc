"""A network on its devices: precision, compilation, and how several processes share it."""

from __future__ import annotations

import contextlib
import copy
import inspect
from collections.abc import Iterator
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
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils._pytree import tree_map

from modernet.errors import InputError
from modernet.models import Backbone
from modernet.models.fused import use_kernels
from modernet.processes import ALONE, Processes
from modernet.recipes import Execution, Recipe

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_SYNC_BUFFERS = (  # renamed in torch 2.15
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
    else "broadcast_buffers"
)
_WHOLE = StateDictOptions(full_state_dict=True, cpu_offload=True)


class Placement:
    """The network that is trained, as the recipe and the execution want it on this process's device.

    Several processes hold it whole and average their gradients (DDP), or hold a share of every weight each (FSDP2).
    What it writes down and reads, its state, is the same in all cases: whole tensors by the network's own names.

    Args:
        network: gets its weights from here; it is changed in place.

    Raises:
        InputError: the network cannot be checkpointed, or the execution does not go with the recipe.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, execution: Execution, device: torch.device, processes: Processes
    ) -> None:
        if execution.shard and recipe.precision == "fp16":
            raise InputError("weights spread over processes do not go with fp16; give --precision bf16")
        if execution.checkpointing:
            if not isinstance(network, Backbone):
                raise InputError(f"a {type(network).__name__} has no blocks to checkpoint; leave out --checkpointing")
            network.set_grad_checkpointing()
        self.device = device
        self._dtype = _DTYPES.get(recipe.precision)
        self._sharded = execution.shard and not processes.alone
        network = network.to(device)
        if not self._sharded:  # what is spread must lie in torch's usual order
            network = network.to(memory_format=torch.channels_last)
        if execution.kernels:
            use_kernels(network)
        self.average: AveragedModel | None = None
        if recipe.ema_decay is not None:
            ema = get_ema_multi_avg_fn(recipe.ema_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
        self.network = network
        self._wrapped = network
        if self._sharded:
            self._skeleton = copy.deepcopy(network).to("meta")
            mesh = init_device_mesh(device.type, (processes.world,))
            for model in [network] if self.average is None else [network, self.average.module]:
                for block in _blocks(model):
                    if execution.compile and model is network:
                        block.compile()
                    fully_shard(block, mesh=mesh)
                # also after an evaluation, which no backward pass follows
                fully_shard(model, mesh=mesh, reshard_after_forward=True)
            return
        if execution.compile:
            network.compile()
        if not processes.alone:
            # BatchNorm's running statistics are those of the first process, see `share_buffers`
            options: dict[str, Any] = {_SYNC_BUFFERS: False, "gradient_as_bucket_view": True}
            self._wrapped = DistributedDataParallel(network, **options)

    def __call__(self, *inputs: Any) -> Any:
        """The network in training, in the precision of the recipe; what comes out is in float32."""
        with self.autocast():
            outputs = self._wrapped(*inputs)
        return outputs if self._dtype is None else tree_map(_in_float32, outputs)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Where the network computes in the precision of the recipe."""
        if self._dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self._dtype)

    @contextlib.contextmanager
    def adding_gradients(self, last: bool) -> Iterator[None]:
        """Around a forward and backward pass of a part of a batch; processes exchange gradients after the last part."""
        if isinstance(self.network, FSDPModule):
            self.network.set_requires_gradient_sync(last)
            yield
        elif isinstance(self._wrapped, DistributedDataParallel) and not last:
            with self._wrapped.no_sync():
                yield
        else:
            yield

    def update_average(self) -> None:
        """After a step of the optimiser."""
        if self.average is not None:
            self.average.update_parameters(self.network)

    def share_buffers(self) -> None:
        """Give every process the running statistics of the first one, so that all evaluate the same network."""
        if torch.distributed.is_initialized():
            for buffer in self.evaluated().buffers():
                torch.distributed.broadcast(buffer, 0)

    def evaluated(self) -> nn.Module:
        """What counts, on the devices where it is: the average of the weights if the recipe keeps one."""
        if self.average is None:
            return self.network
        module: nn.Module = self.average.module
        return module

    def result(self) -> nn.Module:
        """The same, whole on this process's device."""
        network = self.evaluated()
        if not self._sharded:
            return network
        weights = get_model_state_dict(network, options=StateDictOptions(full_state_dict=True))
        whole: nn.Module = self._skeleton.to_empty(device=self.device)
        whole.load_state_dict(weights)
        return whole.to(memory_format=torch.channels_last)

    def state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Weights, average and the optimiser's state, whole; every process must ask at once, the first one gets it."""
        average = None
        if self.average is not None:
            average = get_model_state_dict(self.average.module, options=_WHOLE)
        return {
            "network": get_model_state_dict(self.network, options=_WHOLE),
            "average": average,
            "averaged": 0 if self.average is None else int(self.average.n_averaged),
            "optimizer": get_optimizer_state_dict(self.network, optimizer, options=_WHOLE),
        }

    def load_state(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        """Go to a state that `state` gave, here or in another number of processes."""
        whole = StateDictOptions(full_state_dict=True)
        set_model_state_dict(self.network, state["network"], options=whole)
        set_optimizer_state_dict(self.network, optimizer, state["optimizer"], options=whole)
        _lay_out_like_weights(optimizer)
        if self.average is not None:
            set_model_state_dict(self.average.module, state["average"], options=whole)
            self.average.n_averaged.fill_(state["averaged"])


def choose_device(processes: Processes = ALONE) -> torch.device:
    """This process's accelerator if the machine has one (CUDA, MPS, XPU), else the CPU."""
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is None:
        return torch.device("cpu")
    return device if processes.alone else torch.device(device.type, torch.accelerator.current_device_index())


def _blocks(network: nn.Module) -> list[nn.Module]:
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


def _lay_out_like_weights(optimizer: torch.optim.Optimizer) -> None:
    """Give moments the memory layout of their weights: fused optimisers go through both side by side.

    They come in torch's usual order from a run whose weights were spread, and a run that holds them whole has
    convolutions in channels_last.
    """
    for weight, moments in optimizer.state.items():
        for key, moment in moments.items():
            if isinstance(moment, Tensor) and moment.shape == weight.shape and moment.stride() != weight.stride():
                moments[key] = torch.empty_like(weight, dtype=moment.dtype).copy_(moment)


def _in_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
