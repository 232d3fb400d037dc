"""Clouds by the diamond-square algorithm, as the fog of ImageNet-C has them."""

from __future__ import annotations

import torch
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance


def plasma(chance: ImageChance, side: int, decay: float, device: torch.device) -> Tensor:
    """Draw a cloud for each image, float64 (b, side, side) in [0, 1], that continues at its opposite borders.

    Each level halves the distance between known points. A new point is the mean of its four neighbours plus a random
    number from [-a, a). As published, a is the square of a "wibble" of 100 that is divided by `decay` at each level, so
    that a falls by the square of `decay`.

    Args:
        side: a power of two, 2 at least.
    """
    points = torch.zeros(len(chance.streams), 1, 1, dtype=torch.float64, device=device)
    wibble = 100.0

    def shifts() -> Tensor:
        return wibble * chance.uniform(-wibble, wibble, *points.shape[1:])

    while (n := points.shape[-1]) < side:
        pairs = points + points.roll(-1, 1)
        centers = (pairs + pairs.roll(-1, 2)) / 4 + shifts()
        tops = ((centers + centers.roll(1, 1)) + (points + points.roll(-1, 2))) / 4 + shifts()
        lefts = ((centers + centers.roll(1, 2)) + pairs) / 4 + shifts()
        finer = points.new_empty(len(points), 2 * n, 2 * n)
        finer[:, ::2, ::2], finer[:, ::2, 1::2] = points, tops
        finer[:, 1::2, ::2], finer[:, 1::2, 1::2] = lefts, centers
        points = finer
        wibble /= decay
    points = points - points.amin((1, 2), keepdim=True)
    return points / points.amax((1, 2), keepdim=True)
