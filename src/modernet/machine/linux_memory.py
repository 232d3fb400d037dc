"""Memory of this process as Linux reports it, and a limit that makes allocations fail instead of the process.

Files of the kernel: `/proc/self` describes this process, `/proc/meminfo` the machine, `/sys/fs/cgroup` the control
groups (version 2) by which a container limits memory. Functions take their paths as arguments, for tests.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

PROC = Path("/proc/self")
CGROUPS = Path("/sys/fs/cgroup")
MEMINFO = Path("/proc/meminfo")
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # malloc.h
_LARGEST_MMAP_THRESHOLD, _NEVER_TRIM = 32 * 2**20, 2**31 - 1


def peak_rise(step: Callable[[], object], proc: Path = PROC) -> int | None:
    """Return how many bytes the resident memory rises above its level while `step` runs once.

    The kernel keeps the peak of a process (VmHWM), which is reset before the step. Memory that the allocator holds
    without need is returned to the system first, or the step would reuse it and seem to need none.

    Returns:
        None where the peak cannot be reset: another system, or a container that forbids it.
    """
    if not (proc / "clear_refs").exists():
        return None
    ctypes.CDLL(None).malloc_trim(0)
    try:
        (proc / "clear_refs").write_text("5")  # resets VmHWM to VmRSS: proc_pid_clear_refs(5)
    except OSError:
        return None
    before = _status_bytes(proc, "VmRSS")
    step()
    return _status_bytes(proc, "VmHWM") - before


def available_bytes(meminfo: Path = MEMINFO, cgroups: Path = CGROUPS, membership: Path = PROC / "cgroup") -> int | None:
    """Return the memory that this process can still allocate without swapping; None on other systems."""
    if not meminfo.exists():
        return None
    return min([_kilobytes(meminfo.read_text(), "MemAvailable"), *cgroup_room(cgroups, membership)])


def cgroup_room(root: Path, membership: Path) -> list[int]:
    """Return what each memory limit of this process's control group and its ancestors leaves, in bytes.

    Cached file pages count as free, since the kernel reclaims them.

    Args:
        root: where control groups of version 2 are mounted.
        membership: file that names the group of this process.
    """
    lines = membership.read_text().splitlines() if membership.exists() else []
    groups = [Path(line.removeprefix("0::/")) for line in lines if line.startswith("0::/")] or [Path()]
    room = []
    for folder in (root / path for path in (groups[0], *groups[0].parents)):
        try:
            limit, used, stat = ((folder / f"memory.{name}").read_text() for name in ("max", "current", "stat"))
        except OSError:
            continue
        file_pages = sum(int(size) for size in re.findall(r"^(?:in)?active_file (\d+)$", stat, re.MULTILINE))
        if limit.strip() != "max":
            room.append(max(0, int(limit) - int(used) + file_pages))
    return room


@contextmanager
def allocation_limit(room: int) -> Iterator[None]:
    """Inside, allocations beyond `room` more bytes fail.

    Linux promises more memory than it has, and kills a process when the promises are used. `RLIMIT_DATA` limits the
    private writable memory of this process, so that the allocation itself fails.
    """
    import resource  # does not exist on Windows

    before = resource.getrlimit(resource.RLIMIT_DATA)
    limit = _status_bytes(PROC, "VmData") + room
    for earlier in before:
        limit = limit if earlier == resource.RLIM_INFINITY else min(limit, earlier)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)


def address_space_left(proc: Path = PROC) -> int | None:
    """Return how many bytes of address space this process may still reserve (`ulimit -v`); None without a limit."""
    if not (proc / "status").exists():
        return None
    import resource  # does not exist on Windows

    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    return None if limit == resource.RLIM_INFINITY else limit - _status_bytes(proc, "VmSize")


def _status_bytes(proc: Path, key: str) -> int:
    return _kilobytes((proc / "status").read_text(), key)


def _kilobytes(text: str, key: str) -> int:
    """Return the value of a line such as `VmRSS:   1234 kB` in bytes."""
    found = re.search(rf"^{key}:\s+(\d+) kB", text, re.MULTILINE)
    assert found is not None, f"the kernel does not report {key}"
    return int(found[1]) * 1024


def keep_freed_memory() -> None:
    """Let glibc keep freed memory for the next allocation instead of returning it to the system; others do nothing.

    A training step allocates and frees the same large tensors again and again, and each return costs the page faults of
    filling fresh zeroed pages. Use it where a process does little else, since its memory stays at its peak.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_MMAP_THRESHOLD)
        mallopt(_M_TRIM_THRESHOLD, _NEVER_TRIM)
