"""How much of the machine is ours."""

from __future__ import annotations

import os

import torch


def usable_cores() -> int:
    """Cores that this process may run on; fewer than the machine has under taskset and in many containers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoding_workers(most: int) -> int:
    """How many threads or processes should decode images: one for each core that is ours, at most `most`.

    Processes that torchrun started on this machine (`LOCAL_WORLD_SIZE`) share its cores evenly. torchrun sets torch's
    threads to one whatever the machine, so these count only for a process by itself: one that was given a share of the
    machine was told so by `torch.set_num_threads`.
    """
    beside = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if beside > 1:
        return min(max(1, usable_cores() // beside), most)
    return min(usable_cores(), torch.get_num_threads(), most)
