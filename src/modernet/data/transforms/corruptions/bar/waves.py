"""Sine waves: a plane one, circular ones with a star's outline, and the plasma of old screen savers."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from modernet.data.transforms.corruptions.bar.levels import add_noise, coordinates, of_image
from modernet.data.transforms.corruptions.chance import ImageChance

_MOST_TURNS = 6  # of plasma


def single_frequency_greyscale(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Add a plane wave, equal in all channels, with an amplitude of 19.6 grey levels times the strength."""
    along_x = chance.uniform(-math.pi, math.pi)
    along_y = along_x.abs() * chance.uniform(-1, 1)
    swapped = chance.integers(0, 2) == 1
    along_x, along_y = torch.where(swapped, along_y, along_x), torch.where(swapped, along_x, along_y)
    phases = chance.uniform(0, math.tau)
    rows, columns = coordinates(images)
    down = rows * along_y[:, None]
    across = columns * along_x[:, None] + phases[:, None]
    # sin(a + b) = sin a cos b + cos a sin b: sines of rows and of columns are far fewer than of pixels
    amplitude = 19.6 * strength
    wave = (amplitude * down.cos()).float()[:, :, None] * across.sin().float()[:, None]
    wave.addcmul_((amplitude * down.sin()).float()[:, :, None], across.cos().float()[:, None])
    return add_noise(images, wave)


def cocentric_sine_waves(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Add rings that rise from -6.4 to 6.4 grey levels times the strength, and bulge along a sine of the angle."""
    h, w = images.shape[-2:]
    side = min(h, w)
    centres = chance.uniform(0, 1, 2)
    frequency, bulge, ring = (chance.uniform(0, high) for high in (10, side / 10, side / 10))
    rows, columns = coordinates(images)
    dx = (columns - centres[:, :1] * w).float()[:, None]
    dy = (rows - centres[:, 1:] * h).float()[:, :, None]
    turns = torch.atan2(dx, dy).mul_(of_image(frequency)).sin_().mul_(of_image(bulge / ring))
    turns += (dx.square() + dy.square()).sqrt_().mul_(of_image(1 / ring))
    share = turns.sub_(turns.floor()).sub_(0.5)
    return add_noise(images, share.mul_(12.8 * strength))


def plasma_noise(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Mix images with a plasma of 6.4 grey levels times the strength, another one in each channel."""
    time = chance.uniform(0, 6 * math.pi)
    turns = chance.integers(4, _MOST_TURNS + 1)
    sharpness = chance.uniform(0.5, 1)
    scale = chance.uniform(0.075, 0.2) * min(images.shape[-2:])
    rows, columns = coordinates(images)
    plasma = _plasma(rows / scale[:, None], columns / scale[:, None], time, turns, sharpness)
    strength *= 6.4
    return plasma.mul_(strength).add_(images.float(), alpha=1 - strength / 255)


def _plasma(rows: Tensor, columns: Tensor, time: Tensor, turns: Tensor, sharpness: Tensor) -> Tensor:
    """Return a plasma in [-1, 1], float32 (b, 3, h, w).

    Args:
        rows, columns: coordinates in units of its scale, (b, h) and (b, w).
        time: (b,)
        turns: how often coordinates are displaced, int64 (b,).
        sharpness: (b,)
    """
    u, v, start = columns[:, None], rows[:, :, None], time[:, None, None]
    down, across = (v + start).cos(), (u + start).sin()  # of rows and columns: only sums of both are of pixels
    u, v = (u - 0.3 * across).float() + down.float(), across.float() + (v + 0.3 * down).float()
    for turn in range(1, _MOST_TURNS):
        reach = of_image(torch.where(turn < turns, (2.25 - sharpness) ** -turn, 0))
        angle = of_image(time / 1.15**turn)
        down, across = torch.add(angle, v, alpha=1.93**turn).cos_(), torch.add(angle, u, alpha=1.93**turn).sin_()
        u.addcmul_(down, reach).addcmul_(across, -0.3 * reach)
        v.addcmul_(across, reach).addcmul_(down, 0.3 * reach)
    time = of_image(time)
    return torch.stack(((u - time).sin_(), (u + v + time.sin()).mul_(0.5).sin_(), (v + time).sin_()), 1)
