"""PointNet.

Qi, Su, Mo, Guibas, "PointNet: Deep Learning on Point Sets for 3D Classification and Segmentation", CVPR 2017, arXiv
1612.00593; widths from the authors' code (charlesq34/pointnet).

    x, y, z -> T-Net turns them -> 64 -> 64 -> T-Net turns them -> 64 -> 128 -> 1024 -> maximum over points -> classes

The same layers for each point, and the maximum as the only place where points meet. A T-Net is a small PointNet that
predicts a matrix A from the whole cloud, which begins as the identity. That of features, which is large, is kept near
a rotation by the paper's penalty, .001 |I - A A^T|^2 (`penalties.py`); it is a mean over clouds, where the release has
half the sum over a batch. As in the release, the part network is wider, and that for scenes has no T-Nets.
`pointnet_vanilla` is the paper's network without them. Of points with more than coordinates, the first T-Net turns the
coordinates.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from modernet.data.points.inputs import PointInputs
from modernet.points.config import PointConfig, register_point_model
from modernet.points.dense import dense, mlp
from modernet.points.heads import CloudClassifier, PointEncoder, segmenter
from modernet.points.penalties import penalize


@dataclass(frozen=True, kw_only=True)
class PointNetConfig(PointConfig):
    """PointNet; other widths are the release's."""

    t_nets: bool = True
    """Turn coordinates and features by matrices that T-Nets predict; never for scenes."""

    def classifier(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        return CloudClassifier(self._encoder(inputs, self.t_nets), num_classes)

    def segmenter(self, inputs: PointInputs, num_classes: int) -> nn.Module:
        if not inputs.categories:
            return segmenter(self._encoder(inputs, False), inputs, num_classes)
        coordinates = TNet(3, (64, 128, 1024), (128, 128)) if self.t_nets else None
        features = TNet(128, (256, 1024), (512, 256)) if self.t_nets else None
        encoder = PointNetEncoder(inputs.channels, (64, 128, 128), (512, 2048), coordinates, features)
        return segmenter(encoder, inputs, num_classes)

    def _encoder(self, inputs: PointInputs, t_nets: bool) -> PointNetEncoder:
        coordinates, features = (TNet(3), TNet(64)) if t_nets else (None, None)
        return PointNetEncoder(inputs.channels, (64, 64), (64, 128, 1024), coordinates, features)


class TNet(nn.Module):
    """Predict a matrix from a cloud: (b, n, dim) -> (b, dim, dim); the identity at first.

    Args:
        dim: channels of a point.
        widths: of the layers before the maximum over points.
        hidden: of those after it.
    """

    def __init__(
        self, dim: int, widths: tuple[int, ...] = (64, 128, 1024), hidden: tuple[int, ...] = (512, 256)
    ) -> None:
        super().__init__()
        self.dim = dim
        self.points = mlp(dim, *widths)
        self.cloud = mlp(widths[-1], *hidden)
        self.out = nn.Linear(hidden[-1], dim * dim)
        nn.init.zeros_(self.out.weight)
        with torch.no_grad():
            self.out.bias.copy_(torch.eye(dim).flatten())

    def forward(self, x: Tensor) -> Tensor:
        matrix = self.out(self.cloud(self.points(x).amax(1)))
        return torch.unflatten(matrix, 1, (self.dim, self.dim))


def departure(matrix: Tensor) -> Tensor:
    """Return how far matrices (b, d, d) are from rotations: the mean over them of the squared norm of I - A A^T."""
    eye = torch.eye(matrix.shape[-1], dtype=matrix.dtype, device=matrix.device)
    return (eye - matrix @ matrix.mT).square().sum((1, 2)).mean()


class PointNetEncoder(PointEncoder):
    """The layers of PointNet.

    Args:
        channels: of a point.
        before, after: widths of the layers before features are turned, and after it.
        coordinates, features: what predicts the matrices that turn them; None: they are not turned.
    """

    def __init__(
        self,
        channels: int,
        before: tuple[int, ...],
        after: tuple[int, ...],
        coordinates: TNet | None,
        features: TNet | None,
    ) -> None:
        super().__init__()
        self.widths = (*before, *after)
        dims = (channels, *self.widths[:-1])
        layers = [dense(dim, out) for dim, out in zip(dims, self.widths, strict=True)]
        self.coordinates, self.features = coordinates, features
        self.before, self.after = nn.ModuleList(layers[: len(before)]), nn.ModuleList(layers[len(before) :])

    def forward(self, points: Tensor) -> list[Tensor]:
        outputs, x = [], points
        if self.coordinates is not None:
            xyz, rest = points[..., :3], points[..., 3:]
            x = torch.cat([xyz @ self.coordinates(xyz), rest], -1)
        for layer in self.before:
            x = layer(x)
            outputs.append(x)
        if self.features is not None:
            matrix = self.features(x)
            penalize(1e-3 * departure(matrix))
            x = x @ matrix
        for layer in self.after:
            x = layer(x)
            outputs.append(x)
        return outputs


_SOURCE = "Qi et al. 2017, arXiv 1612.00593, and charlesq34/pointnet"


@register_point_model(_SOURCE)
def pointnet() -> PointNetConfig:
    return PointNetConfig()


@register_point_model(f"{_SOURCE}; without T-Nets")
def pointnet_vanilla() -> PointNetConfig:
    return PointNetConfig(t_nets=False)
