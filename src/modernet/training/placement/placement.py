"""Placement of a network on devices: precision, compilation, and replication or sharding over processes."""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
from collections.abc import Iterator
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.hooks import RemovableHandle

from modernet import progress
from modernet.errors import InputError
from modernet.layers.memory_layout import avoid_unsafe_layout
from modernet.models.fused import use_kernels
from modernet.processes import Processes
from modernet.recipes import Execution, Recipe
from modernet.torch_internals import has_bfloat16, tree_map
from modernet.training.placement.bfloat16_check import avoid_wrong_gradients

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_SYNC_BUFFERS = (  # renamed in torch 2.15
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
    else "broadcast_buffers"
)


@runtime_checkable
class Checkpointed(Protocol):
    """A network that can recompute the activations of its blocks: a `Backbone`, or a masked autoencoder of one."""

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As `Backbone.set_grad_checkpointing`."""


class Placement:
    """The network in training, on this process's device, as the recipe and the execution require.

    Several processes either replicate it and average their gradients (DDP), or shard every weight (FSDP2). Its state
    is the same in all cases, full tensors by the network's own names, so that a run may resume in another way.

    Args:
        network: changed in place.

    Raises:
        InputError: the network cannot be checkpointed or trained on this device, or the execution does not suit the
            recipe.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, execution: Execution, device: torch.device, processes: Processes
    ) -> None:
        if execution.shard and recipe.precision == "fp16":
            raise InputError("sharded weights do not support fp16; give --precision bf16")
        if execution.shard and recipe.optimizer.clip_grad is not None and recipe.optimizer.clip_mode == "agc":
            raise InputError(
                "clip_mode agc needs full weights on each device; leave out --shard, or give --clip-mode norm"
            )
        if execution.checkpointing:
            if not isinstance(network, Checkpointed):
                raise InputError(f"a {type(network).__name__} has no blocks to checkpoint; leave out --checkpointing")
            network.set_grad_checkpointing()
        self.device, self._alone = device, processes.alone
        self._dtype = _DTYPES.get(recipe.precision)
        self._sharded = execution.shard and not processes.alone
        network = network.to(device)
        if not self._sharded:  # fully_shard needs torch's contiguous layout
            network = network.to(memory_format=torch.channels_last)
        if execution.kernels:
            use_kernels(network)
        self.average: AveragedModel | None = None
        if recipe.ema_decay is not None:
            ema = get_ema_multi_avg_fn(recipe.ema_decay)  # type: ignore[no-untyped-call]
            self.average = AveragedModel(network, multi_avg_fn=ema, use_buffers=True)
        if self._sharded:
            self._full = copy.deepcopy(network).cpu()  # has the buffers that are in no state dict
        self._hooks: list[RemovableHandle] = []
        if device.type == "cpu":  # after these copies, which are not trained
            self._hooks = avoid_unsafe_layout(network, compiled=execution.compile)
            if recipe.precision == "bf16":
                self._hooks += _prepare_for_bfloat16(network, execution, processes)
        self.network = network
        self._wrapped = network
        if self._sharded:
            from modernet.training.placement.sharding import shard  # imported late, here and below: it takes seconds

            shard(network, device, processes, compile=execution.compile)
            if self.average is not None:
                shard(self.average.module, device, processes)
            return
        if execution.compile:
            network.compile()
        if not processes.alone:
            # BatchNorm's running statistics are those of rank 0, see `share_buffers`
            options: dict[str, Any] = {_SYNC_BUFFERS: False, "gradient_as_bucket_view": True}
            self._wrapped = DistributedDataParallel(network, **options)

    def __call__(self, *inputs: Any) -> Any:
        """Run the network in the precision of the recipe; return its outputs in float32."""
        with self.autocast():
            outputs = self._wrapped(*inputs)
        return outputs if self._dtype is None else tree_map(_in_float32, outputs)

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        """Return a context in which the network computes in the precision of the recipe."""
        if self._dtype is None:
            return contextlib.nullcontext()
        return torch.autocast(self.device.type, self._dtype)

    @contextlib.contextmanager
    def adding_gradients(self, last: bool) -> Iterator[None]:
        """Enclose the passes of a micro-batch; processes exchange gradients after the `last` one of a step only."""
        if self._sharded:
            from modernet.training.placement.sharding import exchange_gradients

            exchange_gradients(self.network, last)
            yield
        elif isinstance(self._wrapped, DistributedDataParallel) and not last:
            with self._wrapped.no_sync():
                yield
        else:
            yield

    def update_average(self) -> None:
        """Update the EMA of the weights, after an optimizer step."""
        if self.average is not None:
            self.average.update_parameters(self.network)

    def share_buffers(self) -> None:
        """Broadcast the running statistics of rank 0, so that all processes evaluate the same network."""
        if not self._alone:
            for buffer in self.evaluated().buffers():
                torch.distributed.broadcast(buffer, 0)

    def evaluated(self) -> nn.Module:
        """Return the network to evaluate, still sharded: the EMA of the weights if the recipe keeps one."""
        if self.average is None:
            return self.network
        module: nn.Module = self.average.module
        return module

    def result(self) -> nn.Module:
        """Return the network to evaluate with full weights, on this process's device, once it is trained."""
        for hook in self._hooks:
            hook.remove()
        network = self.evaluated()
        if not self._sharded:
            return network
        from modernet.training.placement.sharding import full_weights

        weights = full_weights(network)
        self._full.load_state_dict(weights)
        return self._full.to(self.device).to(memory_format=torch.channels_last)

    def buffers(self) -> list[Tensor]:
        """Return copies of the buffers, which a forward pass may change, such as BatchNorm's statistics."""
        return [buffer.clone() for buffer in self.network.buffers()]

    def restore_buffers(self, before: list[Tensor]) -> None:
        """Restore what `buffers` returned."""
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)

    def weight_norm(self) -> float:
        """Return the norm of all weights and floating-point buffers of the state dict."""
        norm = torch.nn.utils.get_total_norm([weight.detach() for weight in self.network.parameters()])
        if self._sharded:
            from modernet.training.placement.sharding import full_tensor

            norm = full_tensor(norm)
        weights = dict(self.network.named_parameters())
        statistics = [
            value
            for name, value in self.network.state_dict().items()
            if name not in weights and value.is_floating_point()
        ]
        return math.hypot(float(norm), float(torch.nn.utils.get_total_norm(statistics)) if statistics else 0.0)

    def state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Return weights, EMA and optimizer state in full, on rank 0; every process must call this."""
        from modernet.training.placement.sharding import full_optimizer_state, full_weights

        return {
            "network": full_weights(self.network, on_cpu=True),
            "average": None if self.average is None else full_weights(self.average.module, on_cpu=True),
            "averaged": 0 if self.average is None else int(self.average.n_averaged),
            "optimizer": full_optimizer_state(self.network, optimizer),
        }

    def load_state(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        """Restore what `state` returned, in any number of processes."""
        from modernet.training.placement.sharding import load_optimizer_state, load_weights

        load_weights(self.network, state["network"])
        load_optimizer_state(self.network, optimizer, state["optimizer"])
        if self.average is not None:
            load_weights(self.average.module, state["average"])
            self.average.n_averaged.fill_(state["averaged"])


def _prepare_for_bfloat16(network: nn.Module, execution: Execution, processes: Processes) -> list[RemovableHandle]:
    """Avoid wrong gradients in bfloat16 on a CPU, and say so, and also if the processor has no arithmetic for it.

    Returns:
        Hooks for as long as the network is trained.
    """
    slow = "bfloat16 is emulated on this processor, without AMX or AVX512-BF16: --precision fp32 trains faster"
    changed, hooks = avoid_wrong_gradients(network, compiled=execution.compile)
    for line in (slow if not has_bfloat16(torch.device("cpu")) else "", changed):
        if line and processes.main:
            progress.say(line)
    return hooks


def _in_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value
