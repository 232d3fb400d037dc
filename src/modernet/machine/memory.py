"""Memory of a device: how much a step needs, how much is available, and how to run out of it without being killed."""

from __future__ import annotations

import gc
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from modernet.machine import linux_memory

_RESERVE = 0.05
"""Share of the available memory that is left to other processes."""


def transient_bytes(step: Callable[[], object], device: torch.device) -> int | None:
    """Return how many bytes memory rises above its level while `step` runs once: activations, gradients, workspaces.

    Read from the allocator on a GPU, and from the kernel on Linux. None on other systems.
    """
    if device.type != "cuda":
        return linux_memory.peak_rise(step)
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    step()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


def available_bytes(device: torch.device) -> int | None:
    """Return the bytes of the device that this process can still allocate; None where the system does not report it."""
    if device.type != "cuda":
        return linux_memory.available_bytes()
    unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return torch.cuda.mem_get_info(device)[0] + unused


@contextmanager
def memory_limit(device: torch.device) -> Iterator[None]:
    """Inside, an allocation that exceeds the available memory raises; otherwise Linux would kill a process.

    A GPU's allocator raises by itself.
    """
    available = available_bytes(device) if device.type == "cpu" and sys.platform == "linux" else None
    if available is None:
        yield
        return
    with linux_memory.allocation_limit(round(available * (1 - _RESERVE))):
        yield


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error means that memory ran out; torch has no exception type for that on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return (
        isinstance(error, RuntimeError) and re.search("allocate memory|bad_alloc|out of memory", str(error)) is not None
    )


def release(device: torch.device) -> None:
    """Free what is no longer referenced."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
