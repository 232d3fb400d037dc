"""The fastest batch size on a device."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch

from modernet.benchmark.case import Case
from modernet.benchmark.targets import Target
from modernet.benchmark.workload import prepare
from modernet.machine.memory import release
from modernet.machine.timing import seconds_of

_GROWTH = 1.02
_PATIENCE = 2
_START = {"cuda": 16, "cpu": 1}
_TURN_S = 0.1
_TURNS = 3


def find_batch(examples_per_second: Callable[[int], float], start: int = 1) -> int:
    """Return the fastest batch size: doubled from `start` until two steps gained less than 2 %, or one failed.

    Args:
        examples_per_second: measures a batch size; raises if it does not fit into memory.

    Raises:
        Exception: whatever `examples_per_second` raises for one example.
    """
    best, best_speed, stalls, size = 0, 0.0, 0, start
    while stalls < _PATIENCE:
        try:
            speed = examples_per_second(size)
        except Exception:  # libraries report the end of memory in many ways
            if best:
                break
            if size == 1:
                raise
            size //= 2
            continue
        stalls = 0 if speed > _GROWTH * best_speed else stalls + 1
        if speed > best_speed:
            best, best_speed = size, speed
        size *= 2
    return best


def fastest_batch(case: Case, target: Target, device: torch.device) -> int:
    """Return the fastest batch size for a case, by short measurements on the device.

    This is slow for compiled and optimized networks, which are compiled or optimized for every size.
    """

    def examples_per_second(size: int) -> float:
        release(device)  # what the previous size left
        step = prepare(replace(case, batch=size), target, device).step
        step()
        once = seconds_of(step, 1, device)
        repeats = max(1, round(_TURN_S / once))
        return size * repeats / min(seconds_of(step, repeats, device) for _ in range(_TURNS))

    return find_batch(examples_per_second, _START[device.type])
