"""The device that computes: which one, its name, its caches, its threads."""

from __future__ import annotations

import platform
import re
from pathlib import Path

import torch

from modernet.errors import InputError
from modernet.machine.cores import usable_cores
from modernet.processes import ALONE, Processes

_CACHE_BYTES = 32 * 2**20  # if the system does not report it


def choose_device(name: str | None = None) -> torch.device:
    """Return the device called `cpu`, `cuda` or `cuda:N`; for None, the GPU if there is one, else the CPU.

    Raises:
        InputError: the name is another one, or this machine has no such GPU.
    """
    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", name):
        raise InputError(f"device is {name!r}; give cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cpu":
        return device
    if not torch.cuda.is_available():
        raise InputError(f"device is {name!r}, but torch finds no CUDA GPU on this machine; give --device cpu")
    number = torch.cuda.current_device() if device.index is None else device.index
    if number >= torch.cuda.device_count():
        raise InputError(
            f"device is {name!r}, but the last GPU of this machine is cuda:{torch.cuda.device_count() - 1}"
        )
    return torch.device("cuda", number)


def default_device(processes: Processes = ALONE) -> torch.device:
    """Return this machine's accelerator (CUDA, MPS, XPU), else the CPU.

    Each of several processes gets the accelerator of its local rank, which `join_processes` made the current one.
    """
    device = torch.accelerator.current_accelerator(check_available=True)
    if device is None:
        return torch.device("cpu")
    return device if processes.alone else torch.device(device.type, torch.accelerator.current_device_index())


def check_threads(threads: int | None) -> int:
    """Return the number of CPU threads to compute with; for None, one for each core available to this process.

    Raises:
        InputError: fewer than one, or more than there are cores (they would wait for each other).
    """
    cores = usable_cores()
    if threads is None:
        return cores
    if not 1 <= threads <= cores:
        raise InputError(f"threads is {threads}; this process may use {cores} cores: give 1 to {cores}")
    return threads


def device_name(device: torch.device) -> str:
    """Return the name of the model: `NVIDIA H200`, `CPU AMD EPYC 9555`, `MPS Apple M2` (a GPU on the CPU's chip)."""
    if device.type in ("cuda", "xpu"):
        return str(torch.get_device_module(device).get_device_name(device))
    return f"{device.type.upper()} {_cpu_name()}"


def describe(device: torch.device, threads: int) -> str:
    """Return the name of a device for a record; that of a CPU with the number of threads used."""
    if device.type != "cpu":
        return device_name(device)
    return f"{device_name(device)}, {threads} thread{'s' if threads > 1 else ''}"


def last_cache_bytes(device: torch.device) -> int:
    """Return the size in bytes of the last-level cache."""
    if device.type == "cuda":
        return int(torch.cuda.get_device_properties(device).L2_cache_size)
    sizes = [_bytes(path.read_text()) for path in Path("/sys/devices/system/cpu/cpu0/cache").glob("index*/size")]
    return max(sizes, default=_CACHE_BYTES)


def _cpu_name() -> str:
    try:
        found = re.search(r"model name\s*:\s*(.+)", Path("/proc/cpuinfo").read_text())
    except OSError:
        found = None
    return found[1].strip() if found else platform.processor() or platform.machine()


def _bytes(text: str) -> int:
    """`32768K` -> 33554432."""
    number, unit = re.fullmatch(r"(\d+)([KMG]?)\s*", text).groups()  # type: ignore[union-attr]
    return int(number) * {"": 1, "K": 2**10, "M": 2**20, "G": 2**30}[unit]
