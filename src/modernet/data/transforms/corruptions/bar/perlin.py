"""Perlin noise."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.data.transforms.corruptions.bar.levels import coordinates
from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.filters import product_dtype

_PERIOD = 256  # points of the lattice, along each axis
_SPACING = 32 / 224  # of its points, in shares of the side
_OCTAVES = (1, 2, 4, 8, 16)


def perlin_noise(images: Tensor, chance: ImageChance, strength: float) -> Tensor:
    """Mix images with the turbulence of Perlin noise, a share of 0.05 times the strength."""
    dtype = product_dtype(torch.float32, images.device)
    gradients = chance.integers(-_PERIOD, _PERIOD, _PERIOD, 2).to(dtype)
    gradients /= gradients.norm(dim=-1, keepdim=True).clamp_min(1)
    order = chance.uniform(0, 1, _PERIOD).argsort(-1)
    spacing = _SPACING * min(images.shape[-2:])
    rows, columns = (axis / spacing for axis in coordinates(images))
    share = 0.05 * strength
    noise = _turbulence(rows, columns, gradients, order).mul_(0.5 * 255 * share).add_(0.5 * 255 * share)
    noise = noise.clamp_(0, 255 * share)[:, None]
    return torch.add(noise, images.float(), alpha=1 - share).to(torch.uint8)


def _turbulence(rows: Tensor, columns: Tensor, gradients: Tensor, order: Tensor) -> Tensor:
    """Return the sum of absolute noise over octaves, each divided by its frequency.

    Args:
        rows, columns: coordinates in units of the lattice, float64 (h,) and (w,).
        gradients: (b, 256, 2), which the points of the lattice share, in the type in which matrices are multiplied.
        order: a permutation of 256, int64 (b, 256).

    Returns:
        float32 (b, h, w)
    """
    total = torch.zeros(len(order), len(rows), len(columns), device=rows.device)
    for frequency in _OCTAVES:
        noise = _noise(rows * frequency, columns * frequency, gradients, order)
        total.add_(noise.abs_(), alpha=1 / frequency)
    return total


def _noise(rows: Tensor, columns: Tensor, gradients: Tensor, order: Tensor) -> Tensor:
    """Return Perlin noise times 1.5, as published. It is linear in the gradients, so two matrix products make it."""
    (points_y, near_y, slope_y), (points_x, near_x, slope_x) = (
        _weights(axis, gradients.dtype) for axis in (rows, columns)
    )
    b, ny, nx = len(order), len(points_y), len(points_x)
    # the gradient of a point is number order[order[row] + column]
    index = (order[:, points_y % _PERIOD, None] + points_x) % _PERIOD
    index = order.gather(1, index.flatten(1))
    at_points = gradients.gather(1, index[..., None].expand(-1, -1, 2)).view(b, ny, nx, 2)
    across = torch.cat((at_points[..., 0] @ near_x.T, at_points[..., 1] @ slope_x.T), 1)  # b 2*ny w
    return (1.5 * torch.cat((slope_y, near_y), 1)) @ across


def _weights(coordinates: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """Return the lattice points next to some coordinates, and what each adds to the noise there.

    Args:
        coordinates: float64 (n,).

    Returns:
        The points, int64 (p,); the weights of their gradients along the other axis, and along this one, (n, p).
    """
    cells = coordinates.floor().long()
    points, place = torch.unique(torch.cat((cells, cells + 1)), return_inverse=True)
    share = coordinates - cells
    share = share.square() * (3 - 2 * share)
    near = torch.zeros(len(cells), len(points), dtype=torch.float64, device=cells.device)
    each = torch.arange(len(cells), device=cells.device)
    near[each, place[: len(cells)]] = 1 - share
    near[each, place[len(cells) :]] = share
    return points, near.to(dtype), (near * (coordinates[:, None] - points)).to(dtype)
