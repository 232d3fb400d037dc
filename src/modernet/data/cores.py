"""How much of the machine is ours."""

from __future__ import annotations

import os

import torch


def usable_cores() -> int:
    """Cores that this process may run on; fewer than the machine has under taskset and in many containers."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def decoding_workers(most: int) -> int:
    """How many threads or processes should decode pictures: one for each usable core, at most `most`.

    No more than torch computes with, since a process that was given a share of the machine was told so by
    `torch.set_num_threads`.
    """
    return min(usable_cores(), torch.get_num_threads(), most)
