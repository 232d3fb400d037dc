"""Memory: how much a step takes, and how to run out of it without being killed."""

from __future__ import annotations

import ctypes
import gc
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

_PROC = Path("/proc/self")
_CGROUPS = Path("/sys/fs/cgroup")
_KEPT_FREE = 0.05
"""Share of the free memory that is left to the rest of the machine."""


def transient_bytes(step: Callable[[], object], device: torch.device) -> int | None:
    """How far memory rises above its level while `step` runs once: activations, gradients, workspaces.

    On a GPU, by the counters of torch's allocator. On Linux, by the peak of the resident memory that the kernel keeps,
    set back before the step; what earlier steps freed is given back first. None on other systems.
    """
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        step()
        torch.cuda.synchronize(device)
        return torch.cuda.max_memory_allocated(device) - before
    if not (_PROC / "clear_refs").exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    try:
        (_PROC / "clear_refs").write_text("5")  # "the peak is what there is now": proc_pid_clear_refs(5)
    except OSError:  # some containers forbid it
        return None
    before = _status_bytes("VmRSS")
    step()
    return _status_bytes("VmHWM") - before


def available_bytes(device: torch.device) -> int | None:
    """Memory that a process may still take on the device; None where the system does not say."""
    if device.type == "cuda":
        unused = torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return torch.cuda.mem_get_info(device)[0] + unused
    meminfo = Path("/proc/meminfo")
    if not meminfo.exists():
        return None
    available = _kilobytes(meminfo.read_text(), "MemAvailable")
    return min([available, *_cgroup_room(_CGROUPS, _PROC / "cgroup")])


@contextmanager
def refusing_too_much(device: torch.device) -> Iterator[None]:
    """In here, what does not fit into the CPU's memory raises, instead of Linux ending this or another process.

    Linux promises more memory than there is and kills when the promises are called in. A limit on the memory of this
    process makes the allocation itself fail (`RLIMIT_DATA`, which counts all private writable memory). A GPU's
    allocator fails by itself.
    """
    available = available_bytes(device) if device.type == "cpu" and sys.platform == "linux" else None
    if available is None:
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _status_bytes("VmData") + round(available * (1 - _KEPT_FREE))
    for earlier in before:
        limit = limit if earlier == resource.RLIM_INFINITY else min(limit, earlier)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ended; torch has no type for that on a CPU."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError):
        return True
    return (
        isinstance(error, RuntimeError) and re.search("allocate memory|bad_alloc|out of memory", str(error)) is not None
    )


def release(device: torch.device) -> None:
    """Give back what nobody holds any more."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()


def _status_bytes(key: str) -> int:
    return _kilobytes((_PROC / "status").read_text(), key)


def _kilobytes(text: str, key: str) -> int:
    """The value of a line such as `VmRSS:   1234 kB`, in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None, f"the kernel does not say {key}"
    return int(found[1]) * 1024


def _cgroup_room(root: Path, membership: Path) -> list[int]:
    """What the memory limits of this process's control group and of those around it leave, one number a limit.

    Version 2 of control groups alone: a container's limit. What the group's files take of memory can be taken back.
    """
    lines = membership.read_text().splitlines() if membership.exists() else []
    own = [Path(line.removeprefix("0::/")) for line in lines if line.startswith("0::/")] or [Path()]
    room = []
    for folder in (root / path for path in (own[0], *own[0].parents)):
        try:
            limit, used, stat = ((folder / f"memory.{name}").read_text() for name in ("max", "current", "stat"))
        except OSError:
            continue
        files = sum(int(found) for found in re.findall(r"^(?:in)?active_file (\d+)$", stat, re.MULTILINE))
        if limit.strip() != "max":
            room.append(max(0, int(limit) - int(used) + files))
    return room
