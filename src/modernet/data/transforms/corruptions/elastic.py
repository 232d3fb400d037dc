"""The elastic transform of ImageNet-C: a random affine map, then smooth random displacements."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.filters import gaussian_filter

_NUDGE = 2**-12
"""Grey levels, more than interpolation rounds off: even areas would otherwise lose a level when they are truncated."""


def elastic_transform(
    images: Tensor, chance: ImageChance, side: int, strength: float, sigma: float, jitter: float
) -> Tensor:
    """Map each image by a random affine map, then move each of its pixels by a smooth field.

    Both resample bilinearly, as published: first mirrored about the border pixels, then about the image's border. The
    positions are exact; OpenCV before 5, with which ImageNet-C was made, rounded those of the affine map to 1/32 pixel.
    Where an image is not square, its center is that of each side; the originals are square.

    Args:
        side: the pixels in which the others are counted; for images of 224 pixels, 244 is published.
        strength: of the displacements before they are smoothed; they are drawn from [-strength, strength).
        sigma: of the Gaussian that smooths them; it ends at 3 sigma.
        jitter: the most by which the three points that determine the affine map move on each axis.
    """
    *_, h, w = images.shape
    rows = torch.arange(h, dtype=torch.float64, device=images.device)[:, None]
    columns = torch.arange(w, dtype=torch.float64, device=images.device)
    affine = _affine_maps(chance.uniform(-side * jitter, side * jitter, 3, 2).float(), h, w)
    by_column, by_row, offset = affine[:, None, None].unbind(3)  # b 1 1 2
    sources = by_column * columns[:, None] + by_row * rows[..., None] + offset
    last = torch.tensor([max(w - 1, 1), max(h - 1, 1)], device=images.device)
    pixels = images.double().contiguous()
    warped = F.grid_sample(pixels, sources * 2 / last - 1, padding_mode="reflection", align_corners=True)

    field = gaussian_filter(chance.uniform(-1, 1, 2, h, w), side * sigma, mode="reflect", truncate=3)
    across, down = field.mul_(side * strength).unbind(1)
    sources[..., 0] = across.add_(columns).mul_(2 / w).add_(1 / w - 1)
    sources[..., 1] = down.add_(rows).mul_(2 / h).add_(1 / h - 1)
    moved = F.grid_sample(warped, sources, padding_mode="reflection", align_corners=False)
    return moved + _NUDGE


def _affine_maps(jitter: Tensor, h: int, w: int) -> Tensor:
    """Return (b, 3, 2), by which (x, y, 1) of a mapped pixel is multiplied for where it comes from.

    Args:
        jitter: by how much three corners of a square in the middle move, (b, 3, 2).
    """
    side = max(1, min(h, w) // 3)  # at least 1, so that images below 3 pixels have a map
    corners = torch.tensor([[side, side], [side, -side], [-side, -side]]) + torch.tensor([w // 2, h // 2])
    corners = corners.to(jitter)
    moved = torch.cat([corners + jitter, torch.ones_like(jitter[..., :1])], -1).double()  # b 3 points, x y 1
    maps: Tensor = torch.linalg.solve(moved, corners.double().expand(len(moved), 3, 2))
    return maps
