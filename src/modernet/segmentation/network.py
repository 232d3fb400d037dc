"""A backbone with the plainest head that uses all of its feature maps."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.models import Backbone, DenseNetwork
from modernet.segmentation.resizing import resized


class Segmenter(DenseNetwork):
    """Project every feature map to one width, upsample them to the finest, add, and classify each position.

    A baseline without pyramid pooling or decoder; it gives a backbone's features a fair and cheap test.

    Args:
        backbone: loses its head.
        num_classes: of the pixels.
        width: channels of the head.
    """

    def __init__(self, backbone: Backbone, num_classes: int, width: int = 64) -> None:
        super().__init__(backbone, levels=None)
        self.project = nn.ModuleList(nn.Conv2d(c, width, 1) for c in self.pyramid.feature_info.channels())
        self.classifier = nn.Conv2d(width, num_classes, 1)

    def classifier_names(self) -> tuple[str, ...]:
        return ("classifier",)

    def forward(self, images: Tensor) -> Tensor:
        """Return logits `(b, k, h, w)` for images `(b, 3, h, w)`."""
        maps = [project(features) for project, features in zip(self.project, self.pyramid(images), strict=True)]
        fused = torch.stack([resized(features, maps[0].shape[-2:]) for features in maps]).sum(0)  # b width h/s w/s
        return resized(self.classifier(F.gelu(fused)), images.shape[-2:])
