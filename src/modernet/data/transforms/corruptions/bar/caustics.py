"""Caustics: the light on the ground of a pool, and the image seen through its surface."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from modernet.data.transforms.corruptions.bar.levels import coordinates
from modernet.data.transforms.corruptions.chance import ImageChance

_ETA = 4.0  # index of refraction
_FLAT = 1 - 1e-3  # how far the unit normal of a surface points upwards if it refracts nothing
_SOFTENING = 4  # pixels that the Gaussian of sigma 1 reaches
_TURN = 6.28318530718  # as published
_ORIGIN = -250
_WHOLE_TURNS = 40 * math.tau  # beyond the origin: sines are the same there, and float32 is finer


def caustic_refraction(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Displace pixels as the waves of a pool refract them, and lighten or darken them by the slope of the waves.

    Displacements are in proportion to the strength; where a slope is 1, about 3 % of the side times the strength.
    """
    h, w = images.shape[-2:]
    side = min(h, w)
    time = chance.uniform(0.5, 2)
    size = (chance.uniform(0.75, 1.25) * side)[:, None]
    rows, columns = coordinates(images)
    light = _soften(_caustics(rows / size, columns / size, time))
    around = F.pad(light, (1, 1, 1, 1))  # dark
    slope_y = around[:, 2:, 1:-1] - around[:, :-2, 1:-1]
    slope_x = around[:, 1:-1, 2:] - around[:, 1:-1, :-2]
    upwards = (slope_y.square() + slope_x.square()).add_(1).rsqrt_()
    # Snell's law, sin(out) = sin(in) / eta, for light from straight above
    bend = ((1 - (1 - upwards.square()) / _ETA**2).sqrt_() - upwards / _ETA).mul_(upwards)
    bend = bend.masked_fill_(upwards >= _FLAT, 0).mul_(0.05 * strength * side)
    y = (slope_y * bend).round_(decimals=3).add_(rows.float()[:, None])
    x = (slope_x * bend).round_(decimals=3).add_(columns.float())
    places = torch.stack(((2 * x + 1) / w - 1, (2 * y + 1) / h - 1), -1)
    displaced = F.grid_sample(images.float(), places, align_corners=False)  # bilinear, black outside
    return displaced.add_((slope_y - slope_x).mul_(0.2 * strength * 255)[:, None])


def _caustics(rows: Tensor, columns: Tensor, time: Tensor) -> Tensor:
    """Return the light on the ground, in [0, 1].

    Args:
        rows, columns: coordinates of pixels in units of its period, float64 (b, h) and (b, w).
        time: (b,)

    Returns:
        float32 (b, h, w)
    """
    y, x = ((axis % 1 * _TURN + _ORIGIN) for axis in (rows[:, :, None], columns[:, None]))
    weight_y, weight_x = (0.005 * y).float(), (0.005 * x).float()
    y, x = y + _WHOLE_TURNS, x + _WHOLE_TURNS
    moved_y, moved_x = y, x
    total = torch.ones((), device=time.device)
    for turn in range(5):  # the first sines are of rows and columns, not yet of pixels
        now = (time * (1 - 3.5 / (turn + 1)))[:, None, None].to(y.dtype)
        moved_y, moved_x = (
            (now - moved_y).cos_().add_(y).float() + (now + moved_x).sin_().float(),
            (now - moved_x).sin_().add_(x).float() + (now + moved_y).cos_().float(),
        )
        now, y, x = now.float(), y.float(), x.float()
        across, down = weight_y / (moved_y + now).sin_(), weight_x / (moved_x + now).cos_()
        total = across.square_().addcmul_(down, down).rsqrt_().add_(total)
    light = (1.17 - total.mul_(0.2).pow_(1.4)).square_().square_().square_()
    return light.clamp_(max=1)


def _soften(field: Tensor) -> Tensor:
    """Blur a field (b, h, w) by a Gaussian of sigma 1, mirrored beyond the border with the border's pixel repeated."""
    reach = torch.arange(-_SOFTENING, _SOFTENING + 1, dtype=torch.float64)
    first, *weights = torch.softmax(-0.5 * reach.square(), 0).tolist()
    for dim in (-1, -2):
        n = field.shape[dim]
        index = torch.arange(-_SOFTENING, n + _SOFTENING, device=field.device) % (2 * n)
        index = torch.minimum(index, 2 * n - 1 - index)
        before, after = field.index_select(dim, index[:_SOFTENING]), field.index_select(dim, index[-_SOFTENING:])
        padded = torch.cat((before, field, after), dim)
        field = first * padded.narrow(dim, 0, n)
        for offset, weight in enumerate(weights, 1):
            field.add_(padded.narrow(dim, offset, n), alpha=weight)
    return field
