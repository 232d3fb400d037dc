"""The cost of a run, shown while it can still be stopped: throughput, share of the device's peak, power, hours."""

from __future__ import annotations

import torch

from modernet import progress
from modernet.machine.peaks import product_tflops
from modernet.machine.settings import gpu_settings
from modernet.processes import Processes
from modernet.recipes import Recipe
from modernet.training.watching.pace import Pace, watts

_DTYPES = {"fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
_PASSES = 3
"""Multiply-accumulates of a training step relative to a forward pass: the gradients take about twice as many."""
_TRUSTED_AFTER_S = 20.0


class Cost:
    """Turn a throughput into what it means for the run.

    Once the throughput is stable, it measures the device's peak, which takes a second or two, and prints one line.

    Args:
        macs: multiply-accumulates of the network for one example.
        recipe: gives precision and length.
        samples_per_epoch: examples.
        device: of this process; the others are assumed to be alike.
        processes: those that train together.
        unit: what the examples are, in the plural.
    """

    def __init__(
        self,
        macs: float,
        recipe: Recipe,
        samples_per_epoch: int,
        device: torch.device,
        processes: Processes,
        unit: str = "images",
    ) -> None:
        self._unit = unit
        self._dtype = _DTYPES[recipe.precision]
        self._flops = 2 * macs * _PASSES
        self._samples = recipe.schedule.epochs * samples_per_epoch
        self._device, self._world = device, processes.world
        self._peak_flops: float | None = None

    def __call__(self, pace: Pace, done: float) -> str:
        """Return a note on the throughput, given the share of the run that is done; print the whole line once."""
        speed = pace.samples_per_second
        if speed is None or pace.timed_seconds < _TRUSTED_AFTER_S:
            return ""
        if self._peak_flops is None:
            with gpu_settings(self._device):  # restores the settings of the training
                tflops = product_tflops(self._device, self._dtype) or 0.0
            self._peak_flops = tflops * 1e12 * self._world
            progress.say(self.line(speed, done))
        return self._share(speed)

    def line(self, speed: float, done: float) -> str:
        """Return the cost in one line."""
        devices = f"{self._world} devices" if self._world > 1 else "one device"
        hours = self._samples / speed / 3600
        notes = [f"cost: {speed:.4g} {self._unit}/s on {devices}{self._share(speed)}"]
        notes.append(f"{duration(hours)} in all, {duration(hours * (1 - done))} to finish")
        power = watts(self._device)
        if power is not None:
            notes.append(f"{power:.0f} W a device now, about {power * self._world * hours / 1000:.3g} kWh in all")
        return "; ".join(notes)

    def _share(self, speed: float) -> str:
        if not self._peak_flops:
            return ""
        return f", {100 * speed * self._flops / self._peak_flops:.0f} % of the measured peak"


def duration(hours: float) -> str:
    """Format a duration: `12.0 min`, `3.5 h`, `12.3 days`."""
    if hours >= 48:
        return f"{hours / 24:.1f} days"
    return f"{hours:.1f} h" if hours >= 1 else f"{60 * hours:.1f} min"
