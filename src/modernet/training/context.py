"""Where a run computes, and how often it pauses training for anything else."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from modernet.data import Place
from modernet.processes import ALONE, Processes
from modernet.recipes import Execution


@dataclass(frozen=True)
class RunContext:
    """The device, the processes and the division of the batch that a task is built for."""

    device: torch.device
    processes: Processes = ALONE
    execution: Execution = field(default_factory=Execution)
    micro_batches: int = 1
    """Micro-batches per step, over all processes: a multiple of their number."""

    @property
    def place(self) -> Place:
        """The micro-batches of this process."""
        return Place(self.micro_batches, self.processes.rank, self.processes.world)


@dataclass(frozen=True)
class Intervals:
    """Seconds between what interrupts the training steps."""

    checkpoint_s: float = 15.0
    checkpoint_share: float = 0.05
    """Largest share of the time to spend on checkpoints; slow ones are written less often."""
    read_s: float = 0.5
    """How long the device works before its results are read, since reading waits for it."""
    curve_s: float = 10.0
