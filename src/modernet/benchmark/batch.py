"""The batch that is fastest on a device."""

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


def find_batch(images_per_second: Callable[[int], float], start: int = 1) -> int:
    """The fastest batch, doubled from `start` until speed has twice grown by less than 2 %, or something ends it.

    Args:
        images_per_second: measures a batch; raises where it does not fit into the memory.

    Raises:
        Exception: what `images_per_second` raised for a batch of one image.
    """
    best, best_speed, stalls, size = 0, 0.0, 0, start
    while stalls < _PATIENCE:
        try:
            speed = images_per_second(size)
        except Exception:  # whatever ends it: libraries say in many ways that memory does
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
    """The fastest batch for a case, by short measurements on the device.

    A compiled network is compiled for every size, and an optimized one optimized, which takes its time.
    """

    def images_per_second(size: int) -> float:
        release(device)  # what the size before left
        step = prepare(replace(case, batch=size), target, device).step
        step()
        once = seconds_of(step, 1, device)
        repeats = max(1, round(_TURN_S / once))
        return size * repeats / min(seconds_of(step, repeats, device) for _ in range(_TURNS))

    return find_batch(images_per_second, _START[device.type])
