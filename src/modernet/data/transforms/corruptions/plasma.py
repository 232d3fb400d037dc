"""Clouds by the diamond-square algorithm, as the fog of ImageNet-C has them."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance


def plasma(chance: ImageChance, side: int, decay: float) -> Tensor:
    """Draw a cloud for each image, float32 (b, side, side) in [0, 1], that continues at its opposite borders.

    Each level halves the distance between known points. A new point is the mean of its four neighbours plus a random
    number from [-a, a). As published, a is the square of a "wibble" of 100 that is divided by `decay` at each level, so
    that a falls by the square of `decay`.

    Args:
        side: a power of two, 2 at least.
    """
    shifts = chance.uniform(-1, 1, side**2 - 1).float()
    points = shifts.new_zeros(len(shifts), 1, 1)
    wibble = 100.0
    while (n := points.shape[-1]) < side:
        new, shifts = shifts[:, : 3 * n**2], shifts[:, 3 * n**2 :]
        centers, tops, lefts = (new * wibble**2).view(-1, 3, n, n).unbind(1)
        pairs = (points + points.roll(-1, 1)).div_(4)
        centers.add_(pairs).add_(pairs.roll(-1, 2))
        means = centers + points
        tops.add_((means + centers.roll(1, 1)).add_(points.roll(-1, 2)), alpha=0.25)
        lefts.add_(pairs).add_(centers + centers.roll(1, 2), alpha=0.25)
        points = F.pixel_shuffle(torch.stack([points, tops, lefts, centers], 1), 2)[:, 0]
        wibble /= decay
    points = points - points.amin((1, 2), keepdim=True)
    return points.div_(points.amax((1, 2), keepdim=True))
