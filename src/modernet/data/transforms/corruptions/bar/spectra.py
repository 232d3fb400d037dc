"""Noise that is given by the amplitudes of its frequencies: blue and brownish."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from modernet.data.transforms.corruptions.bar.levels import add_noise
from modernet.data.transforms.corruptions.chance import ImageChance


def blue_noise_sample(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Blacken the pixels where blue noise of standard deviation 1 is at most 0.3 times the strength, less 2.5."""
    h, w = images.shape[-2:]
    noise, deviation = _noise(chance.uniform(0, math.tau, h, (w + 1) // 2), w, _distance(images))
    return images * (noise > (0.3 * strength - 2.5) * deviation)[:, None]


def brownish_noise(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Add noise of low frequencies, another one to each channel; its standard deviation is 6.4 times the strength."""
    h, w = images.shape[-2:]
    amplitude = 1 / (_distance(images).square() + 1)
    phases = chance.uniform(0, math.tau, 3, h, (w + 1) // 2)
    channels = []
    for number in range(3):  # one at a time, which needs less memory and is faster
        noise, deviation = _noise(phases[:, number], w, amplitude)
        scale = torch.where(deviation > 0, 6.4 * strength / deviation, 0)
        channels.append(add_noise(images[:, number : number + 1], noise.mul_(scale)))
    return torch.cat(channels, 1)


def _distance(images: Tensor) -> Tensor:
    """Return the frequency of each wave of half of the spectrum, in waves along the shorter side: float64
    (h, w // 2 + 1).
    """
    h, w = images.shape[-2:]
    rows = torch.fft.fftfreq(h, 1 / min(h, w), dtype=torch.float64, device=images.device)
    columns = torch.fft.rfftfreq(w, 1 / min(h, w), dtype=torch.float64, device=images.device)
    return torch.hypot(rows[:, None], columns)


def _noise(phases: Tensor, w: int, amplitude: Tensor) -> tuple[Tensor, Tensor]:
    """Make noise of the amplitudes of its frequencies, as published.

    The phases of frequencies k from 0 upwards, along rows, are given. The frequency -1 - k has the same phase, and the
    real part of the inverse transform is kept. So its spectrum is the mean of exp(i phase(k)) and exp(-i phase(-k)).

    Args:
        phases: float64 (b, h, (w + 1) // 2).
        amplitude: of each frequency of half of the spectrum, float64 (h, w // 2 + 1).

    Returns:
        The noise, float32 (b, h, w), and its standard deviation, (b, 1, 1).
    """
    phases, amplitude = phases.float(), amplitude.float()

    def half_spectrum(part: Tensor, sign: int) -> Tensor:
        """Return the real or imaginary part, given the cosines or sines of the phases."""
        before = part.roll(1, -2)  # of one frequency less along columns
        first, last = part[..., :1], part[..., -1:]
        columns = [
            torch.add(first, first.flip(-2).roll(1, -2), alpha=sign),
            torch.add(part[..., 1:], before[..., :-1], alpha=sign),
        ]
        if w % 2 == 0:  # the highest frequency is its own negative
            columns.append(torch.add(last.flip(-2), before[..., -1:], alpha=sign))
        return torch.cat(columns, -1).mul_(amplitude)

    spectrum = torch.complex(half_spectrum(phases.cos(), 1), half_spectrum(phases.sin(), -1))
    h = spectrum.shape[-2]
    mean = spectrum[..., :1, :1].real.double()
    noise = torch.fft.irfft2(spectrum, (h, w), norm="forward")  # its scale does not matter
    # rows first, so that sums are in the same order for any number of images
    power = noise.square().sum(-1, keepdim=True).double().mean(-2, keepdim=True) / w
    variance = power - mean.square()
    deviation = torch.where(variance > 1e-6 * power, variance, 0).sqrt().float()  # of one pixel, it is rounding
    return noise, deviation
