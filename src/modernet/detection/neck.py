"""Five levels of one width above the feature maps of a backbone.

Lin, Dollár, Girshick, He, Hariharan, Belongie, "Feature Pyramid Networks for Object Detection", 2016, arXiv 1612.03144.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torchvision.ops import FeaturePyramidNetwork
from torchvision.ops.feature_pyramid_network import LastLevelMaxPool

from modernet.detection.anchors import STRIDES
from modernet.errors import InputError
from modernet.models import FeatureInfo


class Neck(nn.Module):
    """A feature pyramid network over maps of strides 4 to 32, and every second position of the last level.

    Args:
        maps: the feature maps.
        width: channels of the levels.

    Raises:
        InputError: the maps have other strides.
    """

    def __init__(self, maps: FeatureInfo, width: int) -> None:
        super().__init__()
        if tuple(maps.reduction()) != STRIDES[:-1]:
            raise InputError(
                f"this backbone gives feature maps of strides {', '.join(map(str, maps.reduction()))}; a detector "
                "needs 4, 8, 16 and 32: take one such as convnext_tiny, swin_tiny or resnet50"
            )
        self.fpn = FeaturePyramidNetwork(maps.channels(), width, LastLevelMaxPool())

    def forward(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """Return five maps `(b, width, h / stride, w / stride)` for four `(b, c, h / stride, w / stride)`."""
        return list(self.fpn({str(level): x for level, x in enumerate(maps)}).values())
