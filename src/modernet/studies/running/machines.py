"""Where the runs of a study train: the user's choices, and the resources that follow from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from modernet.errors import InputError
from modernet.machine.cores import usable_cores
from modernet.machine.device import default_device
from modernet.studies.running.cluster import Cluster

_MAX_WORKERS = 8  # each holds its own copy of torch and of the images


@dataclass(frozen=True)
class Machines:
    """The user's choice of where the runs of a study train; None stands for the default.

    Attributes:
        workers: concurrent runs on this machine. By default one per core, at most 8, if one core trains the networks
            fastest and the device is the CPU; else 1.
        device: where to train. By default this machine's accelerator if it has one; on a cluster, a GPU if a run gets
            one.
        cluster: train on the machines of a Ray cluster: `"auto"` is the one that this machine belongs to, or a new one
            of this machine alone; `"HOST:PORT"` that of a head node. The study's folder is on a file system that all
            of them share, and so are the images if they are given as a path.
        run_cpus: cores, which are also the threads, of a run on the cluster. By default 1 if one core trains the
            networks fastest and the device is the CPU; else this machine's cores, divided by its GPUs.
        run_gpus: GPUs of a run on the cluster, such as 0.5. By default 1 if this machine has one.

    Raises:
        InputError: a value is out of range, or contradicts another one.
    """

    workers: int | None = None
    device: torch.device | None = None
    cluster: str | None = None
    run_cpus: int | None = None
    run_gpus: float | None = None

    def __post_init__(self) -> None:
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers is {self.workers}; give 1 or more")
        if self.cluster is None and (self.run_cpus is not None or self.run_gpus is not None):
            raise InputError("--run-cpus and --run-gpus need a cluster; add --cluster auto, or leave them out")
        if self.cluster is not None and self.workers is not None:
            raise InputError("--workers does not apply to a cluster; give --run-cpus instead, or leave it out")

    def resources(self, folder: Path, *, one_core: bool) -> Resources:
        """Fill in the defaults.

        Args:
            folder: where the runs of a cluster write, an absolute path.
            one_core: whether a CPU trains these networks fastest with one thread each, because they are small.

        Raises:
            InputError: the cluster's address or the share of a run is not valid.
        """
        if self.cluster is not None:
            gpus = float(torch.cuda.is_available()) if self.run_gpus is None else self.run_gpus
            device = self.device or torch.device("cuda" if gpus else "cpu")
            cpus = _run_cpus(device, one_core) if self.run_cpus is None else self.run_cpus
            return Resources(device, 1, Cluster(self.cluster, folder, cpus, gpus))
        device = self.device or default_device()
        workers = min(usable_cores(), _MAX_WORKERS) if one_core and device.type == "cpu" else 1
        return Resources(device, workers if self.workers is None else self.workers, None)


LOCAL = Machines()
"""This machine, with all defaults."""


@dataclass(frozen=True)
class Resources:
    """What the runs of a study use, with all defaults filled in."""

    device: torch.device
    workers: int
    """Concurrent runs on this machine; ignored on a cluster."""
    cluster: Cluster | None

    @property
    def concurrent_runs(self) -> int:
        """The number of runs that share a machine, at most."""
        return self.workers if self.cluster is None else self.cluster.runs_per_machine()


def _run_cpus(device: torch.device, one_core: bool) -> int:
    if device.type == "cpu":
        return 1 if one_core else usable_cores()
    return max(1, usable_cores() // max(1, torch.cuda.device_count()))
