"""The peaks of a device, measured: matrix products and memory bandwidth, the roof that networks are compared with."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from modernet import progress
from modernet.machine.device import last_cache_bytes
from modernet.machine.memory import available_bytes, is_out_of_memory, release
from modernet.machine.settings import set_tf32
from modernet.machine.timing import seconds_of

_SIDES = {"cuda": (2048, 4096, 8192), "cpu": (256, 512, 1024, 2048)}
"""Sides of the square matrices: small ones leave a GPU idle, large ones take minutes on a CPU."""
_TRIES = 6
_TURN_S = 0.05
"""Long enough for a GPU to lower its clock as it does under load."""
_LONGEST_S = 1.0
"""A product that would take longer is skipped: some dtypes have no fast product on a CPU."""
_COPIED_BYTES = {"cuda": 2**30, "cpu": 2**28}
_CACHES = 4
"""A copy is at least this many times as large as the last-level cache."""


@dataclass(frozen=True)
class Peaks:
    """The highest speeds of a device in this process.

    Attributes:
        tflops: per dtype, 10^12 floating-point operations per second of a large matrix product of random numbers; a
            multiply-add counts as two. A dtype that the device cannot multiply is missing.
        gb_per_second: 10^9 bytes per second of a large copy, reads plus writes. None if there was too little memory.
    """

    tflops: dict[str, float]
    gb_per_second: float | None


def measure_peaks(device: torch.device, dtypes: Sequence[str]) -> Peaks:
    """Measure the peaks of a device in some of `case.DTYPES`; takes less than a second per dtype on a CPU."""
    with progress.bar("measuring the device", len(dtypes) + 1) as shown:
        tflops = {}
        for dtype in dtypes:
            speed = product_tflops(device, dtype)
            if speed is not None:
                tflops[dtype] = speed
            shown.advance(note=dtype)
        bandwidth = copy_gb_per_second(device)
        shown.advance(note="memory")
    release(device)
    return Peaks(tflops, bandwidth)


def product_tflops(device: torch.device, dtype: str, sides: Sequence[int] | None = None) -> float | None:
    """Return the speed of the fastest square matrix product; None if the device has none in this dtype.

    Args:
        sides: sides of the matrices, in ascending order. Default: three or four that suit the device.
    """
    if device.type == "cuda":
        set_tf32(dtype == "tf32")
    best = None
    for side in _SIDES.get(device.type, ()) if sides is None else sides:
        try:
            a, b = (_random(side * side, dtype, device).view(side, side) for _ in range(2))
            product = torch.empty_like(a)

            def multiply(a: torch.Tensor = a, b: torch.Tensor = b, product: torch.Tensor = product) -> None:
                torch.mm(a, b, out=product)

            seconds = _fastest(multiply, device)
        except RuntimeError:  # no such product, or no memory for it
            break
        best = max(best or 0.0, 2 * side**3 / seconds / 1e12)
        if 8 * seconds > _LONGEST_S:  # twice the side is eight times the work
            break
    return best


def copy_gb_per_second(device: torch.device, size: int | None = None) -> float | None:
    """Return the bandwidth of a copy, reads plus writes; None if there is too little memory.

    Args:
        size: bytes to copy. Default: several times the last-level cache, and at most an eighth of the free memory.
    """
    if size is None:
        size = max(_COPIED_BYTES[device.type], _CACHES * last_cache_bytes(device))
        available = available_bytes(device)
        if available is not None:
            size = min(size, available // 8)
    try:
        source = _random(size // 4, "float32", device)
        target = torch.empty_like(source)
        return 2 * source.nbytes / _fastest(lambda: target.copy_(source), device) / 1e9
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        return None


def _fastest(call: Callable[[], object], device: torch.device) -> float:
    """Return the seconds per call in the fastest of some turns: a peak, so not their median."""
    call()
    once = seconds_of(call, 1, device)
    repeats = max(1, round(_TURN_S / once))
    tries = [once]
    while len(tries) < _TRIES and sum(tries) < _LONGEST_S:
        tries.append(seconds_of(call, repeats, device) / repeats)
    return min(tries)


def _random(count: int, dtype: str, device: torch.device) -> torch.Tensor:
    """Return random numbers; a GPU multiplies zeros faster, because that takes less power."""
    torch_dtype = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    return torch.randn(count, device=device, dtype=torch_dtype)
