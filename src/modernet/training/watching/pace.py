"""How fast a run goes, and what it takes."""

from __future__ import annotations

import time

import torch

_WARMUP_STEPS = 3
"""Steps at the start of a process that the throughput leaves out: caches fill and kernels are chosen in them."""
READ_INTERVAL_S = 0.5
"""About how long the device works before its results are read; to read is to wait for it."""


class Pace:
    """Time, images and energy of the training steps, evaluation and checkpoints left out.

    Attributes:
        steps_to_read: after how many steps the results should be read next.
        seconds: time in training steps, also in processes that this run had before this one.
        timed_seconds: those of them that the throughput is computed from.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.steps_to_read = 1
        self.seconds = 0.0
        self.timed_seconds, self._timed_samples = 0.0, 0.0
        self._energy_j: float | None = 0.0 if watts(device) is not None else None
        self._steps_here = 0
        self._begin = time.monotonic()

    def start(self) -> None:
        """Training begins, or goes on."""
        self._begin = time.monotonic()

    def stop(self, steps: int, samples: float) -> None:
        """Some steps are done, with so many samples over all processes."""
        now = time.monotonic()
        seconds = now - self._begin
        self._begin = now
        self.seconds += seconds
        if self._steps_here >= _WARMUP_STEPS:
            self.timed_seconds += seconds
            self._timed_samples += samples
        power = watts(self._device)
        if self._energy_j is not None and power is not None:
            self._energy_j += power * seconds
        self._steps_here += steps
        self.steps_to_read = max(1, round(READ_INTERVAL_S * steps / seconds)) if seconds > 0 else 2 * steps

    @property
    def images_per_second(self) -> float | None:
        """Training throughput so far; None before it is known."""
        return self._timed_samples / self.timed_seconds if self.timed_seconds > 0 else None

    @property
    def energy_joules(self) -> float | None:
        """What the device says that it took: its power at the end of each interval, times the interval."""
        return self._energy_j

    def counters(self) -> dict[str, float]:
        """All that a checkpoint needs."""
        energy = {} if self._energy_j is None else {"energy_joules": self._energy_j}
        return {
            "train_seconds": self.seconds,
            "timed_seconds": self.timed_seconds,
            "timed_samples": self._timed_samples,
            **energy,
        }

    def go_on_from(self, counters: dict[str, float]) -> None:
        """Take over what `counters` said of earlier processes."""
        self.seconds = counters["train_seconds"]
        self.timed_seconds, self._timed_samples = counters["timed_seconds"], counters["timed_samples"]
        if self._energy_j is not None:
            self._energy_j = counters.get("energy_joules")


def watts(device: torch.device) -> float | None:
    """The power that a device draws now, in watts; None where it does not tell."""
    if device.type != "cuda":
        return None
    try:
        return torch.cuda.power_draw(device) / 1000
    except Exception:  # the driver's package has errors of its own: not there, not supported, not allowed
        return None
