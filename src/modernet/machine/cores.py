"""CPU cores available to this process."""

from __future__ import annotations

import os

import torch


def usable_cores() -> int:
    """Return the number of cores that this process may run on; not all under taskset and in many containers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoding_workers(most: int) -> int:
    """Return the number of threads or processes that should decode images: one per available core, at most `most`.

    Processes that torchrun started on this machine (`LOCAL_WORLD_SIZE`) divide its cores evenly. A single process uses
    at most as many as torch has threads, since `torch.set_num_threads` is how a run gets its share of the machine.
    torchrun sets that to 1 on any machine, so it is ignored there.
    """
    local_processes = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if local_processes > 1:
        return min(max(1, usable_cores() // local_processes), most)
    return min(usable_cores(), torch.get_num_threads(), most)
