"""UPerNet on any backbone.

Xiao, Liu, Zhou, Jiang, Sun, "Unified Perceptual Parsing for Scene Understanding", 2018, arXiv 1807.10221.

The head that Swin and ConvNeXt are compared with on ADE20K. The coarsest map sees the whole image through pooling to
1, 2, 3 and 6 squares; from there, a feature pyramid carries what it knows down to the finest map, and all levels
together classify each position. An auxiliary head on the second coarsest map helps in training only.

    images 3 x 512 x 512                                convnext_tiny, 150 classes
      backbone   -> 96 x 128 x 128, 192 x 64 x 64, 384 x 32 x 32, 768 x 16 x 16
      pooling    768 x 16 x 16 -> itself and 4 x 512 -> 3x3 -> 512 x 16 x 16
      top-down   1x1 of each finer map to 512, plus the coarser one enlarged; 3x3 each
      fusion     all four at 128 x 128 -> 3x3 -> 512 -> dropout -> 1x1 -> 150 x 128 x 128
      enlarged to 150 x 512 x 512

Names and structure of the heads are OpenMMLab's, in which the papers' weights are published: every convolution but the
last is without bias and followed by BatchNorm and ReLU. Resizing is bilinear to the exact size of the target map, so
that odd sizes need no padding. OpenMMLab trains with statistics of BatchNorm over all processes (SyncBatchNorm); here
each process uses those of its own images.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import NamedTuple

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models import Backbone, DenseNetwork
from modernet.segmentation.resizing import resized

_POOLED_SIDES = (1, 2, 3, 6)
_DROPOUT = 0.1


class TrainingLogits(NamedTuple):
    """What a network with an auxiliary head returns in training, both `(b, k, h, w)`."""

    logits: Tensor
    auxiliary: Tensor


class UPerNet(DenseNetwork):
    """Backbone, pyramid pooling, feature pyramid, classifier.

    Args:
        backbone: loses its head.
        num_classes: of the pixels, k.
        width: channels of the head; those of the auxiliary head are half as many.
    """

    def __init__(self, backbone: Backbone, num_classes: int, width: int = 512) -> None:
        super().__init__(backbone)
        channels = self.pyramid.feature_info.channels()
        self.decode_head = UPerHead(channels, num_classes, width)
        self.auxiliary_head = FCNHead(channels[-2], num_classes, width // 2)

    def classifier_names(self) -> tuple[str, ...]:
        return "decode_head.conv_seg", "auxiliary_head.conv_seg"

    def forward(self, images: Tensor) -> Tensor | TrainingLogits:
        """Return logits `(b, k, h, w)` for images `(b, 3, h, w)`; in training mode, those of both heads.

        Raises:
            InputError: in training mode, for a batch of one image, of which BatchNorm has no statistics.
        """
        if self.training and len(images) == 1:
            raise InputError("UPerNet trains on micro-batches of 2 images or more; raise batch_size or device_batch")
        maps, size = self.pyramid(images), images.shape[-2:]
        logits = resized(self.decode_head(maps), size)
        return TrainingLogits(logits, resized(self.auxiliary_head(maps[-2]), size)) if self.training else logits


class UPerHead(nn.Module):
    """Feature maps, finest first -> logits at the resolution of the finest."""

    def __init__(self, channels: list[int], num_classes: int, width: int) -> None:
        super().__init__()
        *finer, coarsest = channels
        self.psp_modules = nn.ModuleList(
            nn.Sequential(nn.AdaptiveAvgPool2d(side), _conv(coarsest, width, 1)) for side in _POOLED_SIDES
        )
        self.bottleneck = _conv(coarsest + len(_POOLED_SIDES) * width, width, 3)
        self.lateral_convs = nn.ModuleList(_conv(cin, width, 1) for cin in finer)
        self.fpn_convs = nn.ModuleList(_conv(width, width, 3) for _ in finer)
        self.fpn_bottleneck = _conv(len(channels) * width, width, 3)
        self.dropout = nn.Dropout2d(_DROPOUT)
        self.conv_seg = _classifier(width, num_classes)

    def forward(self, maps: list[Tensor]) -> Tensor:
        *finer, coarsest = maps
        pooled = [resized(pool(coarsest), coarsest.shape[-2:]) for pool in self.psp_modules]
        top = self.bottleneck(torch.cat([coarsest, *pooled], 1))
        levels = [lateral(x) for lateral, x in zip(self.lateral_convs, finer, strict=True)] + [top]
        for level in range(len(levels) - 1, 0, -1):
            levels[level - 1] = levels[level - 1] + resized(levels[level], levels[level - 1].shape[-2:])
        levels = [conv(x) for conv, x in zip(self.fpn_convs, levels[:-1], strict=True)] + [top]
        fused = self.fpn_bottleneck(torch.cat([resized(x, levels[0].shape[-2:]) for x in levels], 1))
        logits: Tensor = self.conv_seg(self.dropout(fused))
        return logits


class FCNHead(nn.Module):
    """A 3x3 convolution and a classifier; a feature map -> logits at its resolution (Long et al. 2014)."""

    def __init__(self, cin: int, num_classes: int, width: int) -> None:
        super().__init__()
        self.convs = nn.Sequential(_conv(cin, width, 3))
        self.dropout = nn.Dropout2d(_DROPOUT)
        self.conv_seg = _classifier(width, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.conv_seg(self.dropout(self.convs(x)))
        return logits


def _conv(cin: int, cout: int, kernel_size: int) -> nn.Sequential:
    conv = nn.Conv2d(cin, cout, kernel_size, padding=kernel_size // 2, bias=False)
    nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(OrderedDict(conv=conv, bn=nn.BatchNorm2d(cout), act=nn.ReLU()))


def _classifier(cin: int, num_classes: int) -> nn.Conv2d:
    conv = nn.Conv2d(cin, num_classes, 1)
    nn.init.normal_(conv.weight, std=0.01)
    assert conv.bias is not None
    nn.init.zeros_(conv.bias)
    return conv
