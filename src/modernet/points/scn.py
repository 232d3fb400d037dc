"""ShapeContextNet (SCN): what A-SCN's attention replaces.

Xie, Liu, Chen, Tu, "Attentional ShapeContextNet for Point Cloud Recognition", CVPR 2018, section 2.3.

A shape context (Belongie et al. 2002) describes a point by how many others are in each of some bins about it. SCN sums
the features of those in a bin, instead of counting them, beside each other for all bins, and one dense layer follows:

    x (b, n, c) -> sum per bin (b, n, bins c) -> dense ReLU (b, n, d)          five times, the bins always the same

SCN itself has not been released. From the paper are the ball, 24 bins of 3 radii and 8 directions, the sum and five
stages. The rest is ours: shells whose radii double, as logarithmic shells do in 3-D shape contexts (Frome et al. 2004),
octants as directions, and A-SCN's widths. A point is in its own innermost shell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.points.inputs import PointInputs
from modernet.errors import InputError
from modernet.points.config import PointConfig, register_point_model
from modernet.points.dense import dense
from modernet.points.heads import CloudClassifier, PointEncoder, segmenter


@dataclass(frozen=True, kw_only=True)
class ShapeContextConfig(PointConfig):
    """Stages of shape contexts, as many as widths are given."""

    widths: tuple[int, ...] = (64, 64, 64, 128, 1024)
    """Channels of what each stage returns."""
    radius: float = 0.5
    """Of the largest shell, in the unit of coordinates; points beyond it are not seen."""
    shells: int = 3
    """Each has half the radius of the next larger one."""

    def classifier(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        return CloudClassifier(ShapeContextEncoder(self, inputs.channels), num_classes)

    def segmenter(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        return segmenter(ShapeContextEncoder(self, inputs.channels), inputs, num_classes)


class ShapeContextEncoder(PointEncoder):
    """The stages of SCN.

    Args:
        config: of the model.
        channels: of a point.
    """

    def __init__(self, config: ShapeContextConfig, channels: int) -> None:
        super().__init__()
        if not config.radius > 0 or not 1 <= config.shells <= 31:
            raise InputError(
                f"radius {config.radius} and {config.shells} shells; give a radius above 0 and 1 to 31 shells"
            )
        self.widths, self.radius, self.shells = config.widths, config.radius, config.shells
        dims = (channels, *self.widths[:-1])
        self.stages = nn.ModuleList(
            dense(8 * self.shells * dim, out) for dim, out in zip(dims, self.widths, strict=True)
        )

    def forward(self, points: Tensor) -> list[Tensor]:
        members = bin_members(shape_context_bins(points[..., :3], self.radius, self.shells), 8 * self.shells)
        outputs, x = [], points
        for stage in self.stages:
            x = stage(sum_per_bin(x, members))
            outputs.append(x)
        return outputs


def shape_context_bins(xyz: Tensor, radius: float, shells: int) -> Tensor:
    """Return in which bin about each point the others are.

    Bin 8 s + o: shell s counts from the innermost, and each has half the radius of the next; octant o has 1 for x, 2
    for y and 4 for z where the other's coordinate is not smaller.

    Args:
        xyz: (b, n, 3).
        radius: of the largest shell.
        shells: at most 31.

    Returns:
        uint8 (b, n, n): [:, i, j] is the bin about i where j is, 8 * shells beyond the radius.
    """
    distances = torch.cdist(xyz, xyz, compute_mode="donot_use_mm_for_euclid_dist")
    bins = torch.zeros_like(distances, dtype=torch.uint8)
    for shell in range(shells):
        bins += 8 * (distances >= radius / 2**shell)
    for axis in range(3):
        bins += 2**axis * ((xyz[:, None, :, axis] >= xyz[:, :, None, axis]) & (distances < radius))
    return bins


class BinMembers(NamedTuple):
    """Which points are in which bin.

    Attributes:
        rows: int64 (pairs,), indices of points in all clouds, (b * n,), bin by bin.
        starts: int64 (b * n * bins,), where the members of each bin begin.
    """

    rows: Tensor
    starts: Tensor


def bin_members(bins: Tensor, count: int) -> BinMembers:
    """Return the members of `count` bins about each point, from their bins (b, n, n)."""
    clouds, points, _ = bins.shape
    cloud, point, other = (bins < count).nonzero(as_tuple=True)
    about = (cloud * points + point) * count + bins[cloud, point, other]
    sizes = torch.bincount(about, minlength=clouds * points * count)
    rows = (cloud * points + other)[about.argsort()]
    return BinMembers(rows, sizes.cumsum(0) - sizes)


def sum_per_bin(x: Tensor, members: BinMembers) -> Tensor:
    """Return the sum of features (b, n, c) over the members of each bin: (b, n, bins * c)."""
    sums = F.embedding_bag(members.rows, x.flatten(0, 1), members.starts, mode="sum")
    return sums.view(*x.shape[:2], -1)


@register_point_model("Xie et al., CVPR 2018; shells and octants are ours")
def scn() -> ShapeContextConfig:
    return ShapeContextConfig()
