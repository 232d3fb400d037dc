"""What the device can do at best, measured: the roof that networks are held against."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from modernet import progress
from modernet.machine.device import last_cache_bytes
from modernet.machine.memory import available_bytes, is_out_of_memory, release
from modernet.machine.settings import set_tf32
from modernet.machine.timing import seconds_of

_SIZES = {"cuda": (2048, 4096, 8192), "cpu": (256, 512, 1024, 2048)}
"""Sides of the square matrices: small ones leave a GPU idle, large ones keep a CPU for minutes."""
_TRIES = 6
_TURN_S = 0.05
"""Long enough for a GPU to lower its clock as it does under load."""
_LONGEST_S = 1.0
"""A product that would take longer is not tried: some dtypes have no fast product on a CPU."""
_COPIED_BYTES = {"cuda": 2**30, "cpu": 2**28}
_CACHES = 4
"""A copy is at least so many times as large as the last cache."""


@dataclass(frozen=True)
class Peaks:
    """The device's best, in this run.

    Attributes:
        tflops: by dtype, in 10^12 floating-point operations a second, of a large matrix product of random numbers: a
            multiplication and an addition are two. Missing where the device cannot multiply in that dtype.
        gb_per_second: in 10^9 bytes a second, read and written, of a large copy. None where memory was too short.
    """

    tflops: dict[str, float]
    gb_per_second: float | None


def measure_peaks(device: torch.device, dtypes: Sequence[str]) -> Peaks:
    """Measure the best of the device, in the dtypes of `case.DTYPES` asked for; under a second for each on a CPU."""
    with progress.task("measuring the device", len(dtypes) + 1) as shown:
        tflops = {}
        for dtype in dtypes:
            speed = product_tflops(device, dtype)
            if speed is not None:
                tflops[dtype] = speed
            shown.advance(note=dtype)
        bandwidth = _copy_gb_per_second(device)
        shown.advance(note="memory")
    release(device)
    return Peaks(tflops, bandwidth)


def product_tflops(device: torch.device, dtype: str) -> float | None:
    """The fastest square matrix product; None where there is none in this dtype."""
    if device.type == "cuda":
        set_tf32(dtype == "tf32")
    best = None
    for size in _SIZES.get(device.type, ()):
        try:
            a, b = (_random(size * size, dtype, device).view(size, size) for _ in range(2))
            product = torch.empty_like(a)

            def multiply(a: torch.Tensor = a, b: torch.Tensor = b, product: torch.Tensor = product) -> None:
                torch.mm(a, b, out=product)

            seconds = _fastest(multiply, device)
        except RuntimeError:  # no such product, or no memory for it
            break
        best = max(best or 0.0, 2 * size**3 / seconds / 1e12)
        if 8 * seconds > _LONGEST_S:  # twice the side, eight times the work
            break
    return best


def _copy_gb_per_second(device: torch.device) -> float | None:
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
    """Seconds of one call in the fastest of some turns: a peak, so not their median."""
    call()
    once = seconds_of(call, 1, device)
    repeats = max(1, round(_TURN_S / once))
    tries = [once]
    while len(tries) < _TRIES and sum(tries) < _LONGEST_S:
        tries.append(seconds_of(call, repeats, device) / repeats)
    return min(tries)


def _random(count: int, dtype: str, device: torch.device) -> torch.Tensor:
    """Random numbers: a GPU multiplies zeros faster, because that takes less power."""
    of = torch.float32 if dtype == "tf32" else getattr(torch, dtype)
    return torch.randn(count, device=device, dtype=of)
