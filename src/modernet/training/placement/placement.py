"""A network on its devices: precision, compilation, and how several processes share it."""

from __future__ import annotations

import contextlib
import copy
import inspect
import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from modernet.errors import InputError
from modernet.models import Backbone
from modernet.models.fused import use_kernels
from modernet.processes import Processes
from modernet.recipes import Execution, Recipe
from modernet.torch_internals import tree_map

_DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
_LEAST_CHANNELS = 8  # of a strided convolution, for training on a CPU
_SYNC_BUFFERS = (  # renamed in torch 2.15
    "forward_sync_buffers"
    if "forward_sync_buffers" in inspect.signature(DistributedDataParallel.__init__).parameters
    else "broadcast_buffers"
)


class Placement:
    """The network that is trained, as the recipe and the execution want it on this process's device.

    Several processes hold it whole and average their gradients (DDP), or hold a share of every weight each (FSDP2).
    What it writes down and reads, its state, is the same in all cases: whole tensors by the network's own names.

    Args:
        network: gets its weights from here; it is changed in place.

    Raises:
        InputError: the network cannot be checkpointed or not be trained on this device, or the execution does not go
            with the recipe.
    """

    def __init__(
        self, network: nn.Module, recipe: Recipe, execution: Execution, device: torch.device, processes: Processes
    ) -> None:
        if execution.shard and recipe.precision == "fp16":
            raise InputError("weights spread over processes do not go with fp16; give --precision bf16")
        if execution.shard and recipe.optimizer.clip_grad is not None and recipe.optimizer.clip_mode == "agc":
            raise InputError(
                "clip_mode agc needs whole weights on each device; leave out --shard, or give --clip-mode norm"
            )
        if execution.checkpointing:
            if not isinstance(network, Backbone):
                raise InputError(f"a {type(network).__name__} has no blocks to checkpoint; leave out --checkpointing")
            network.set_grad_checkpointing()
        if device.type == "cpu":
            _refuse_narrow_convolutions(network)
        self.device, self._alone = device, processes.alone
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
            from modernet.training.placement.sharding import spread  # here and below, since it takes seconds to import

            self._whole = copy.deepcopy(network).cpu()  # with buffers that no state dict holds
            spread(network, device, processes, compile=execution.compile)
            if self.average is not None:
                spread(self.average.module, device, processes)
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
        """After a step of the optimiser."""
        if self.average is not None:
            self.average.update_parameters(self.network)

    def share_buffers(self) -> None:
        """Give every process the running statistics of the first one, so that all evaluate the same network."""
        if not self._alone:
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
        from modernet.training.placement.sharding import whole_weights

        weights = whole_weights(network)
        self._whole.load_state_dict(weights)
        return self._whole.to(self.device).to(memory_format=torch.channels_last)

    def buffers(self) -> list[Tensor]:
        """Copies of what a forward pass changes, such as BatchNorm's statistics."""
        return [buffer.clone() for buffer in self.network.buffers()]

    def restore_buffers(self, before: list[Tensor]) -> None:
        """Put back what `buffers` gave."""
        for buffer, value in zip(self.network.buffers(), before, strict=True):
            buffer.copy_(value)

    def weight_norm(self) -> float:
        """The norm of all that a state dict holds: weights, and statistics of batches."""
        norm = torch.nn.utils.get_total_norm([weight.detach() for weight in self.network.parameters()])
        if self._sharded:
            from modernet.training.placement.sharding import whole_tensor

            norm = whole_tensor(norm)
        weights = dict(self.network.named_parameters())
        statistics = [
            value
            for name, value in self.network.state_dict().items()
            if name not in weights and value.is_floating_point()
        ]
        return math.hypot(float(norm), float(torch.nn.utils.get_total_norm(statistics)) if statistics else 0.0)

    def state(self, optimizer: torch.optim.Optimizer) -> dict[str, Any]:
        """Weights, average and the optimiser's state, whole; every process must ask at once, the first one gets it."""
        from modernet.training.placement.sharding import whole_optimizer_state, whole_weights

        return {
            "network": whole_weights(self.network, on_cpu=True),
            "average": None if self.average is None else whole_weights(self.average.module, on_cpu=True),
            "averaged": 0 if self.average is None else int(self.average.n_averaged),
            "optimizer": whole_optimizer_state(self.network, optimizer),
        }

    def load_state(self, state: dict[str, Any], optimizer: torch.optim.Optimizer) -> None:
        """Go to a state that `state` gave, here or in another number of processes."""
        from modernet.training.placement.sharding import load_optimizer_state, load_weights

        load_weights(self.network, state["network"])
        load_optimizer_state(self.network, optimizer, state["optimizer"])
        if self.average is not None:
            load_weights(self.average.module, state["average"])
            self.average.n_averaged.fill_(state["averaged"])


def _in_float32(value: Any) -> Any:
    return value.float() if isinstance(value, Tensor) and value.is_floating_point() else value


def _refuse_narrow_convolutions(network: nn.Module) -> None:
    """torch 2.15.0 does not compute the gradients of these layers reliably on a CPU in channels_last memory."""
    for name, layer in network.named_modules():
        if not isinstance(layer, nn.Conv2d) or layer.in_channels >= _LEAST_CHANNELS:
            continue
        if any(stride > size for stride, size in zip(layer.stride, layer.kernel_size, strict=True)):
            raise InputError(
                f"{name} is a strided convolution of {layer.in_channels} channels, which torch cannot train reliably "
                f"on a CPU; make the network wider, so that it has {_LEAST_CHANNELS} or more, or train on a GPU"
            )
