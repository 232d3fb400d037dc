"""How a run uses the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modernet.errors import InputError


@dataclass(frozen=True)
class Execution:
    """How a run uses the machine. Changes speed and memory, and results by rounding only."""

    device_batch: int | None = None
    """Micro-batch of a device; gradients are accumulated over the rest of its share. None: the whole share at once."""
    shard: bool = False
    """Shard weights, gradients and optimizer state over the processes (FSDP2)."""
    compile: bool = False
    """Compile the network with torch.compile."""
    checkpointing: bool = False
    """Gradient checkpointing: recompute each block in the backward pass; a third more time, far less memory."""
    kernels: bool = False
    """Use the fused kernels that were measured to be faster on this device."""
    loading_workers: int | None = None
    """Processes that decode images; None: one per core of this process, at most 8."""
    non_finite: Literal["stop", "skip"] = "stop"
    """When a loss is NaN or infinite: stop, or skip that step and count it."""
    tracker: str = ""
    """Also log curves to tensorboard, wandb, mlflow or another tracker of accelerate.
    Needs: pip install 'modernet[trackers]'."""

    def __post_init__(self) -> None:
        if self.device_batch is not None and self.device_batch < 1:
            raise InputError(f"device_batch is {self.device_batch}; give 1 or more")
        if self.loading_workers is not None and self.loading_workers < 0:
            raise InputError(f"loading_workers is {self.loading_workers}; give 0 (in this process) or more")

    def micro_batches(self, batch_size: int, world: int = 1) -> int:
        """Return into how many micro-batches `world` processes divide a batch: one each, or more by `device_batch`.

        Raises:
            InputError: `device_batch` does not divide it.
        """
        if self.device_batch is None:
            return world
        if batch_size % (self.device_batch * world):
            of_world = f" times {world} processes" if world > 1 else ""
            raise InputError(
                f"batch_size {batch_size} is not a multiple of device_batch {self.device_batch}{of_world}; change one"
            )
        return batch_size // self.device_batch
