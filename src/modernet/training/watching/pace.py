"""Throughput and energy of a run."""

from __future__ import annotations

import time

import torch

_WARMUP_STEPS = 3
"""Steps at the start of a process that the throughput excludes: caches fill and kernels are chosen in them."""


class Pace:
    """Time, examples and energy of the training steps, without evaluation and checkpoints.

    Args:
        device: the device of this process.
        read_s: seconds of work between two reads of the results.

    Attributes:
        steps_to_read: steps until the results should be read next.
        seconds: time in training steps, including earlier processes of this run.
        timed_seconds: the part of it that the throughput is computed from.
    """

    def __init__(self, device: torch.device, read_s: float) -> None:
        self._device, self._read_s = device, read_s
        self.steps_to_read = 1
        self.seconds = 0.0
        self.timed_seconds, self._timed_samples = 0.0, 0.0
        self._energy_j: float | None = 0.0 if watts(device) is not None else None
        self._steps_here = 0
        self._begin = time.monotonic()

    def start(self) -> None:
        """Start the clock, also after a pause."""
        self._begin = time.monotonic()

    def stop(self, steps: int, samples: float) -> None:
        """Count steps that are done, and their examples over all processes."""
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
        self.steps_to_read = max(1, round(self._read_s * steps / seconds)) if seconds > 0 else 2 * steps

    @property
    def samples_per_second(self) -> float | None:
        """Training throughput so far; None until it is known."""
        return self._timed_samples / self.timed_seconds if self.timed_seconds > 0 else None

    @property
    def energy_joules(self) -> float | None:
        """Energy: the power the device reports at the end of each interval, times the interval."""
        return self._energy_j

    def counters(self) -> dict[str, float]:
        """Return what a checkpoint stores."""
        energy = {} if self._energy_j is None else {"energy_joules": self._energy_j}
        return {
            "train_seconds": self.seconds,
            "timed_seconds": self.timed_seconds,
            "timed_samples": self._timed_samples,
            **energy,
        }

    def resume(self, counters: dict[str, float]) -> None:
        """Continue from the `counters` of an earlier process."""
        self.seconds = counters["train_seconds"]
        self.timed_seconds, self._timed_samples = counters["timed_seconds"], counters["timed_samples"]
        if self._energy_j is not None:
            self._energy_j = counters.get("energy_joules")


def watts(device: torch.device) -> float | None:
    """Return the power that a device draws now, in watts; None if it does not report it."""
    if device.type != "cuda":
        return None
    try:
        return torch.cuda.power_draw(device) / 1000
    except Exception:  # the driver's package has its own errors: missing, not supported, not permitted
        return None
