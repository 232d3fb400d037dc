"""Networks that end in classes: of a cloud, of the parts of a shape, or of the points of a scene.

    points (b, n, c) -> encoder -> one (b, n, d) a stage -> maximum over points, (b, d) -> classes of the cloud
                                                         -> both                        -> classes of points

The heads are those of PointNet's release (charlesq34/pointnet), which A-SCN's (umyta/A-SCN) has kept. Left out: the
second loss of the part network, on the category of the shape, which is given.
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.data.points.inputs import PointInputs
from modernet.points.dense import ContextDense, dense, linear, mlp


class PointEncoder(nn.Module, ABC):
    """Features of each point, after every stage.

    Attributes:
        widths: channels of each stage.
    """

    widths: tuple[int, ...]

    @abstractmethod
    def forward(self, points: Tensor) -> list[Tensor]:
        """(b, n, channels) -> for each stage (b, n, width)."""


def class_head(dim: int, num_classes: int, dropout: float) -> nn.Sequential:
    """Make the head of a classifier: (b, dim) -> 512 -> 256 -> (b, num_classes)."""
    return nn.Sequential(
        dense(dim, 512), nn.Dropout(dropout), dense(512, 256), nn.Dropout(dropout), linear(256, num_classes, bias=True)
    )


class CloudClassifier(nn.Module):
    """The class of a cloud: (b, n, channels) -> logits (b, k)."""

    def __init__(self, encoder: PointEncoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.head = class_head(encoder.widths[-1], num_classes, dropout=0.3)

    def forward(self, points: Tensor) -> Tensor:
        logits: Tensor = self.head(self.encoder(points)[-1].amax(1))
        return logits


class PartSegmenter(nn.Module):
    """The part that each point of a shape belongs to: (b, n, channels) and categories int64 (b,) -> (b, n, k).

    The maximum, the category as one of `categories` ones and zeros, and the features of all stages -> 256 -> 256 -> 128
    -> classes.
    """

    def __init__(self, encoder: PointEncoder, categories: int, num_classes: int) -> None:
        super().__init__()
        self.encoder, self.categories = encoder, categories
        self.first = ContextDense(encoder.widths[-1] + categories, sum(encoder.widths), 256)
        self.rest = nn.Sequential(
            nn.Dropout(0.2), dense(256, 256), nn.Dropout(0.2), dense(256, 128), linear(128, num_classes, bias=True)
        )

    def forward(self, points: Tensor, categories: Tensor) -> Tensor:
        stages = self.encoder(points)
        cloud = torch.cat([stages[-1].amax(1), F.one_hot(categories, self.categories).to(points.dtype)], 1)
        logits: Tensor = self.rest(self.first(cloud, torch.cat(stages, -1)))
        return logits


class SceneSegmenter(nn.Module):
    """The class of each point of a scene: (b, n, channels) -> (b, n, k). Categories are ignored.

    The maximum -> 256 -> 128, and the features of the last stage -> 512 -> 256 -> classes.
    """

    def __init__(self, encoder: PointEncoder, num_classes: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.context = mlp(encoder.widths[-1], 256, 128)
        self.first = ContextDense(128, encoder.widths[-1], 512)
        self.rest = nn.Sequential(dense(512, 256), nn.Dropout(0.3), linear(256, num_classes, bias=True))

    def forward(self, points: Tensor, categories: Tensor) -> Tensor:
        x = self.encoder(points)[-1]
        logits: Tensor = self.rest(self.first(self.context(x.amax(1)), x))
        return logits


def segmenter(encoder: PointEncoder, inputs: PointInputs, num_classes: int) -> nn.Module:
    """Make the network for parts where clouds have categories, else that for scenes."""
    if inputs.categories:
        return PartSegmenter(encoder, inputs.categories, num_classes)
    return SceneSegmenter(encoder, num_classes)
