"""Grey cells of a turned checkerboard."""

from __future__ import annotations

import math

from torch import Tensor

from modernet.data.transforms.corruptions.bar.levels import coordinates
from modernet.data.transforms.corruptions.chance import ImageChance

_GREY = 128
_MOST_CELLS = 40  # along each side of the grid


def checkerboard_cutout(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Turn some of the black cells of a checkerboard grey: a share of 0.1 times the strength."""
    side = min(images.shape[-2:])
    angle = chance.uniform(0, math.tau)
    cell = (chance.uniform(0.1, 0.25) * side).clamp_min(1)
    grid = chance.uniform(0, 1, _MOST_CELLS, _MOST_CELLS) < 0.1 * strength
    n = (4 * side // cell).long()
    rows, columns = coordinates(images)
    rows, columns = rows / cell[:, None], columns / cell[:, None]
    cos, sin = angle.cos()[:, None], angle.sin()[:, None]
    down = (cos * rows).float()[:, :, None] + (sin * columns).float()[:, None]
    across = (-sin * rows).float()[:, :, None] + (cos * columns).float()[:, None]
    # cells are numbered from 0 in both directions, as published, and numbers below 0 wrap around
    modulus = n[:, None, None]
    index = down.long().remainder_(modulus).mul_(_MOST_CELLS).add_(across.long().remainder_(modulus))
    chosen = grid.flatten(1).gather(1, index.flatten(1)).view(index.shape)
    black = down.floor_().add_(across.floor_()).remainder_(2) == 0
    return images.masked_fill((chosen & black)[:, None], _GREY)
