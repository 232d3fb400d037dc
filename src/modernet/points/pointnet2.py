"""PointNet++ with single-scale grouping (SSG).

Qi, Yi, Su, Guibas, "PointNet++: Deep Hierarchical Feature Learning on Point Sets in a Metric Space", NeurIPS 2017,
arXiv 1706.02413; sizes from the authors' code (charlesq34/pointnet2).

    abstraction: far points as centres -> the points of a ball about each, relative to it -> a small PointNet -> maximum
    propagation: features of the three nearest centres, by 1 / distance^2 -> beside the point's own -> a small PointNet

    classes of clouds   1024 points -> 512 balls of .2 -> 128 of .4 -> all -> classes
    classes of points   as many propagations as abstractions, back to every point

Points are sorted first, so that their order changes nothing: the release begins with the first point of the cloud, and
of a ball with many points takes those that come first. Radii are those of clouds in the unit sphere, and of scenes in
metres. The part network has the category of the shape beside its coordinates, as the release's with several scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.points.inputs import PointInputs
from modernet.points.config import PointConfig, register_point_model
from modernet.points.dense import dense, linear, mlp
from modernet.points.heads import class_head
from modernet.points.neighbourhoods import ball, canonical_order, farthest_points, interpolation, take


@dataclass(frozen=True, kw_only=True)
class PointNet2Config(PointConfig):
    """PointNet++, SSG, in the sizes of the release."""

    def classifier(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        return PointNet2Classifier(inputs, num_classes)

    def segmenter(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        return PartNetwork(inputs, num_classes) if inputs.categories else SceneNetwork(inputs, num_classes)


class Abstraction(nn.Module):
    """Features of the ball about each of some far points: (b, n, 3), (b, n, dim) -> (b, m, 3), (b, m, widths[-1]).

    Args:
        dim: channels of a point beside its coordinates; may be 0.
        centres: m, or n where there are fewer points.
        radius: of the balls.
        count: points of a ball that are seen.
        widths: of the layers.
    """

    def __init__(self, dim: int, centres: int, radius: float, count: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.centres, self.radius, self.count = centres, radius, count
        self.mlp = mlp(3 + dim, *widths)

    def forward(self, xyz: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        centres = take(xyz, farthest_points(xyz, min(self.centres, xyz.shape[1])))
        index = ball(xyz, centres, self.radius, self.count)
        members = take(torch.cat([xyz, x], -1), index)  # b m count 3+dim
        members = members - F.pad(centres, (0, x.shape[-1]))[:, :, None]  # coordinates relative to the centre
        return centres, self.mlp(members).amax(2)


class Whole(nn.Module):
    """Features of all points as of one ball at the origin: as `Abstraction`, with m = 1."""

    def __init__(self, dim: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.mlp = mlp(3 + dim, *widths)

    def forward(self, xyz: Tensor, x: Tensor) -> tuple[Tensor, Tensor]:
        return torch.zeros_like(xyz[:, :1]), self.mlp(torch.cat([xyz, x], -1)).amax(1, keepdim=True)


class Propagation(nn.Module):
    """Features of points from those of fewer points.

    (b, n, 3) and (b, n, dim), (b, m, 3) and (b, m, known_dim) -> (b, n, widths[-1]).

    Args:
        known_dim: channels of the fewer points.
        dim: channels that the points have themselves; may be 0.
        widths: of the layers.
    """

    def __init__(self, known_dim: int, dim: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.mlp = mlp(known_dim + dim, *widths)

    def forward(self, xyz: Tensor, x: Tensor, known_xyz: Tensor, known: Tensor) -> Tensor:
        index, weights = interpolation(known_xyz, xyz)
        between = (take(known, index) * weights[..., None]).sum(2)
        y: Tensor = self.mlp(torch.cat([between, x], -1))
        return y


def shape_levels(channels: int, count: int) -> list[nn.Module]:
    """Make the abstractions for shapes; `count` points of the first balls are seen."""
    return [
        Abstraction(channels - 3, 512, 0.2, count, (64, 64, 128)),
        Abstraction(128, 128, 0.4, 64, (128, 128, 256)),
        Whole(256, (256, 512, 1024)),
    ]


class PointNet2Classifier(nn.Module):
    """The class of a cloud: (b, n, channels) -> logits (b, k)."""

    def __init__(self, inputs: PointInputs, num_classes: int) -> None:
        super().__init__()
        self.levels = nn.ModuleList(shape_levels(inputs.channels, 32))
        self.head = class_head(1024, num_classes, dropout=0.5)

    def forward(self, points: Tensor) -> Tensor:
        points = take(points, canonical_order(points))
        xyz, x = points[..., :3], points[..., 3:]
        for level in self.levels:
            xyz, x = level(xyz, x)
        logits: Tensor = self.head(x[:, 0])
        return logits


class PointNet2Segmenter(nn.Module):
    """The class of each point: (b, n, channels) and categories int64 (b,) -> logits (b, n, k).

    Args:
        levels: abstractions, the finest first.
        propagations: as many, the coarsest first.
        num_classes: k.
    """

    def __init__(self, levels: list[nn.Module], propagations: list[Propagation], num_classes: int) -> None:
        super().__init__()
        self.levels, self.propagations = nn.ModuleList(levels), nn.ModuleList(propagations)
        self.head = nn.Sequential(dense(128, 128), nn.Dropout(0.5), linear(128, num_classes, bias=True))

    def forward(self, points: Tensor, categories: Tensor) -> Tensor:
        order = canonical_order(points)
        points = take(points, order)
        found = [(points[..., :3], points[..., 3:])]
        for level in self.levels:
            found.append(level(*found[-1]))
        found[0] = (found[0][0], self.own(points, categories))
        known_xyz, known = found.pop()
        for propagation in self.propagations:
            xyz, x = found.pop()
            known_xyz, known = xyz, propagation(xyz, x, known_xyz, known)
        return take(self.head(known), order.argsort(1))

    def own(self, points: Tensor, categories: Tensor) -> Tensor:
        """Return what each point has beside interpolated features: (b, n, d)."""
        return points[..., 3:]


class SceneNetwork(PointNet2Segmenter):
    """For points of scenes: balls of .1, .2, .4 and .8 m. Categories are ignored."""

    def __init__(self, inputs: PointInputs, num_classes: int) -> None:
        extra = inputs.channels - 3
        levels: list[nn.Module] = [
            Abstraction(extra, 1024, 0.1, 32, (32, 32, 64)),
            Abstraction(64, 256, 0.2, 32, (64, 64, 128)),
            Abstraction(128, 64, 0.4, 32, (128, 128, 256)),
            Abstraction(256, 16, 0.8, 32, (256, 256, 512)),
        ]
        propagations = [
            Propagation(512, 256, (256, 256)),
            Propagation(256, 128, (256, 256)),
            Propagation(256, 64, (256, 128)),
            Propagation(128, extra, (128, 128, 128)),
        ]
        super().__init__(levels, propagations, num_classes)


class PartNetwork(PointNet2Segmenter):
    """For parts of shapes. At the end a point has its category, as ones and zeros, and all its channels."""

    def __init__(self, inputs: PointInputs, num_classes: int) -> None:
        propagations = [
            Propagation(1024, 256, (256, 256)),
            Propagation(256, 128, (256, 128)),
            Propagation(128, inputs.categories + inputs.channels, (128, 128, 128)),
        ]
        super().__init__(shape_levels(inputs.channels, 64), propagations, num_classes)
        self.categories = inputs.categories

    def own(self, points: Tensor, categories: Tensor) -> Tensor:
        category = F.one_hot(categories, self.categories).to(points.dtype)
        return torch.cat([category[:, None].expand(-1, points.shape[1], -1), points], -1)


@register_point_model("Qi et al. 2017, arXiv 1706.02413, and charlesq34/pointnet2")
def pointnet2() -> PointNet2Config:
    return PointNet2Config()
