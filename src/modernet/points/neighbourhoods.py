"""Points chosen by where they are: an order, farthest points, balls, and the nearest.

Coordinates are (b, n, 3), indices int64 and of points of the same cloud. Indices have no gradient.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


@torch.no_grad()
def canonical_order(points: Tensor) -> Tensor:
    """Return the indices that sort the points of each cloud by x, then by y, z and what else they have.

    What follows may then break ties by index, and still does not depend on the order in which points were given.

    Args:
        points: (b, n, c).

    Returns:
        (b, n).
    """
    clouds, count, channels = points.shape
    order = torch.arange(count, device=points.device).expand(clouds, count)
    for channel in reversed(range(channels)):
        values = points[..., channel].gather(1, order)
        order = order.gather(1, values.sort(dim=1, stable=True).indices)
    return order


def take(x: Tensor, index: Tensor) -> Tensor:
    """Return the rows of x (b, n, c) at indices (b, ...): (b, ..., c)."""
    first = x.shape[1] * torch.arange(x.shape[0], device=x.device)
    rows = index.flatten(1) + first[:, None]
    return torch.unflatten(F.embedding(rows, x.flatten(0, 1)), 1, index.shape[1:])


@torch.no_grad()
def farthest_points(xyz: Tensor, count: int) -> Tensor:
    """Return the indices (b, count) of points that are far apart: each is the farthest from all before it.

    The first is the farthest from the mean, which does not depend on the order of points; the release takes the first
    of the cloud. Of equally far ones the first is taken.
    """
    axes = xyz.mT.contiguous()  # b 3 n: sums over axes are then sums of rows
    farthest = (axes - axes.mean(2, keepdim=True)).square().sum(1).argmax(1)
    nearest = axes.new_full((axes.shape[0], axes.shape[2]), float("inf"))
    chosen = [farthest]
    for _ in range(count - 1):
        centre = axes.gather(2, farthest[:, None, None].expand(-1, 3, 1))
        nearest = torch.minimum(nearest, (axes - centre).square().sum(1))
        farthest = nearest.argmax(1)
        chosen.append(farthest)
    return torch.stack(chosen, 1)


def nearest_points(xyz: Tensor, centres: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Return distances and indices of the points nearest to each centre, the nearest first.

    Args:
        xyz: (b, n, 3).
        centres: (b, m, 3).
        count: at least 1; of smaller clouds all points are returned.

    Returns:
        Two of (b, m, min(count, n)).
    """
    distances = torch.cdist(centres, xyz, compute_mode="donot_use_mm_for_euclid_dist")
    found, index = distances.topk(min(count, xyz.shape[1]), largest=False)
    return found, index


@torch.no_grad()
def ball(xyz: Tensor, centres: Tensor, radius: float, count: int) -> Tensor:
    """Return the indices (b, m, count) of the points nearer to a centre than the radius, the nearest first.

    Where there are fewer, the nearest is repeated; where there are more, the nearest are taken. The release takes those
    that come first in the cloud.
    """
    distances, index = nearest_points(xyz, centres, count)
    return index.where(distances < radius, index[..., :1])


@torch.no_grad()
def interpolation(known: Tensor, xyz: Tensor) -> tuple[Tensor, Tensor]:
    """Return the three points nearest to each, and their weights 1 / distance^2, which sum to 1: (b, n, 3) each.

    Args:
        known: (b, m, 3), the points to interpolate between; of fewer than three all are returned.
        xyz: (b, n, 3).
    """
    distances, index = nearest_points(known, xyz, 3)
    weights = 1 / distances.square().clamp(min=1e-10)
    return index, weights / weights.sum(-1, keepdim=True)
