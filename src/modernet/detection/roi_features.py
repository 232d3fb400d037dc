"""The features of a box, cut from the level of the pyramid that suits its size."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision.ops import roi_align

from modernet.detection.anchors import STRIDES
from modernet.detection.precision import at_least_float32
from modernet.detection.roi_products import align

_FINEST = 56  # pixels: the largest boxes of the finest level have twice this side


def roi_features(maps: Sequence[Tensor], boxes: Sequence[Tensor], side: int) -> Tensor:
    """Return a map `(n, c, side, side)` for each of the n boxes of all images, one image after the other.

    By RoIAlign (He et al. 2017) with aligned pixel centers and as many samples as a bin has positions. A box of side s
    (the root of its area) comes from level floor(log2(s / 56)), counted from the finest, as in Lin et al. 2016.

    Args:
        maps: four maps of the pyramid, of strides 4 to 32, each (b, c, h, w).
        boxes: the boxes of each image, (n, 4), xyxy in pixels.
    """
    level = torch.cat([level_of(each) for each in boxes])
    image = torch.cat([each.new_full((len(each), 1), index) for index, each in enumerate(boxes)])
    rois = torch.cat((image, torch.cat(list(boxes))), 1)
    features = maps[0].new_zeros(len(rois), maps[0].shape[1], side, side)
    for index, (x, stride) in enumerate(zip(maps, STRIDES[:4], strict=True)):
        here = torch.nonzero(level == index)[:, 0]
        x = at_least_float32(x)  # half a pixel matters, and a GPU has no RoIAlign for bfloat16
        own = rois[here].to(x.dtype)
        if _by_products(x):
            aligned = align(x, own, side, 1 / stride)
        else:
            aligned = roi_align(x, own, side, 1 / stride, sampling_ratio=0, aligned=True)
        features.index_copy_(0, here, aligned.to(features.dtype))
    return features


def _by_products(x: Tensor) -> bool:
    """Whether to cut features by products of matrices: on a CPU, without gradients, and in no graph."""
    learned = torch.is_grad_enabled() and x.requires_grad
    return x.device.type == "cpu" and not learned and not torch.compiler.is_compiling()


def level_of(boxes: Tensor) -> Tensor:
    """Return the level of the pyramid that each box `(n, 4)` is cut from: int64 (n,), 0 to 3."""
    width, height = (boxes[:, 2:] - boxes[:, :2]).unbind(1)
    level = torch.log2((width * height).sqrt() / _FINEST + 1e-6).floor()
    return level.clamp(0, 3).long()
