"""What is done to a cloud before a network sees it: centred and scaled, and in training moved.

The release of PointNet, whose steps and cuts most others share, turns and blurs clouds that are stored centred and in
a unit sphere. Here a cloud is centred and scaled once its points are chosen, then moved.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.points.inputs import PointInputs
from modernet.data.points.turning import turning
from modernet.recipes.points import PointAugmentation

_TILT_CUT, _JITTER_CUT = 3, 5  # standard deviations
_SMALLEST = 1e-12  # radius of a cloud that is a single point


class Moves(NamedTuple):
    """How each cloud of a batch is moved.

    Attributes:
        matrices: float32 (b, 3, 3), on columns.
        scales: float32 (b,).
        shifts: float32 (b, 3), relative to the radius of the cloud.
        noise: float32 (b, n, 3), likewise.
    """

    matrices: NDArray[np.float32]
    scales: NDArray[np.float32]
    shifts: NDArray[np.float32]
    noise: NDArray[np.float32]


def drawn_moves(rngs: list[np.random.Generator], n: int, augmentation: PointAugmentation, up: int) -> Moves:
    """Draw how clouds of n points are moved, each from random numbers of its own.

    Args:
        up: the axis about which they are turned.
    """
    b, low = len(rngs), 1 - augmentation.scale
    turns, tilts, shifts = np.zeros(b), np.zeros((b, 3)), np.zeros((b, 3))
    scales, noise = np.ones(b), np.zeros((b, n, 3), np.float32)
    for index, rng in enumerate(rngs):
        if augmentation.turn:
            turns[index] = rng.uniform(0, 2 * np.pi)
        if augmentation.tilt:
            tilts[index] = augmentation.tilt * rng.standard_normal(3).clip(-_TILT_CUT, _TILT_CUT)
        if augmentation.scale:
            scales[index] = rng.uniform(low, 1 / low)
        if augmentation.shift_points:
            shifts[index] = rng.uniform(-augmentation.shift_points, augmentation.shift_points, 3)
        if augmentation.jitter:
            noise[index] = augmentation.jitter * rng.standard_normal((n, 3), np.float32).clip(-_JITTER_CUT, _JITTER_CUT)
    x, y, z = tilts.T
    matrices = turning(2, z) @ turning(1, y) @ turning(0, x) @ turning(up, turns)
    return Moves(matrices.astype(np.float32), scales.astype(np.float32), shifts.astype(np.float32), noise)


def prepared(points: Tensor, inputs: PointInputs, moves: Moves | None = None) -> Tensor:
    """Return clouds as a network sees them, on their device.

    Args:
        points: float32 (b, n, channels), those that are shown.
        moves: of training, after centring and scaling.
    """
    xyz, others = points[..., :3], points[..., 3:]
    middle = xyz.mean(1, keepdim=True)
    radius = (xyz - middle).norm(dim=-1).amax(1)[:, None, None].clamp_min(_SMALLEST)  # b, 1, 1
    if inputs.centred:
        xyz = xyz - middle
    by = radius if inputs.scaled else inputs.unit
    xyz, radius = xyz / by, radius / by
    if moves is not None:
        matrices, scales, shifts, noise = (torch.from_numpy(each).to(points.device) for each in moves)
        xyz = (xyz @ matrices.mT) * scales[:, None, None] + radius * (shifts[:, None] + noise)
        if inputs.normals:
            others = torch.cat([others[..., :3] @ matrices.mT, others[..., 3:]], -1)
    return torch.cat([xyz, others], -1)
