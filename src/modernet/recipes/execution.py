"""How a run uses the machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from modernet.errors import InputError


@dataclass(frozen=True)
class Execution:
    """How a run uses the machine: its speed and memory, and what it computes only up to rounding."""

    device_batch: int | None = None
    """Pictures that a device takes at once; a larger share of the batch is accumulated. None is the whole share."""
    shard: bool = False
    """Spread weights, gradients and the optimiser's state over the processes (FSDP2), for networks that do not fit."""
    compile: bool = False
    """Compile the network with torch.compile."""
    checkpointing: bool = False
    """Compute the inside of each block again in the backward pass: a third more time, far less memory."""
    kernels: bool = False
    """Use the fused kernels that were measured to win on this device."""
    loading_workers: int | None = None
    """Processes that decode pictures; None is one for each core of this process, at most 8."""
    non_finite: Literal["stop", "skip"] = "stop"
    """What to do when a loss is NaN or infinite: stop, or leave out that step and count it."""
    tracker: str = ""
    """Where curves go besides metrics.jsonl: tensorboard, wandb, mlflow or another tracker of accelerate.
    Needs: pip install 'modernet[trackers]'."""

    def __post_init__(self) -> None:
        if self.device_batch is not None and self.device_batch < 1:
            raise InputError(f"device_batch is {self.device_batch}; give 1 or more")
        if self.loading_workers is not None and self.loading_workers < 0:
            raise InputError(f"loading_workers is {self.loading_workers}; give 0 (in this process) or more")

    def parts(self, batch_size: int, world: int = 1) -> int:
        """Into how many parts `world` processes cut a batch: one each, or more where `device_batch` says so.

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
