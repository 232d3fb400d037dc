"""The recipe of a segmentation network."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

from modernet.recipes.base import Range
from modernet.recipes.images import ImageRecipe, SegmentationAugmentation


@dataclass(frozen=True)
class SegmentationHead:
    """What turns feature maps into classes, and its loss."""

    head: Literal["plain", "upernet"] = "plain"
    """plain: a 1x1 convolution of every feature map, summed, then a classifier; upernet (Xiao et al. 2018)."""
    head_width: Annotated[int, Range(2)] = 64
    """Channels of the head; 512 in the published UPerNets."""
    auxiliary_weight: Annotated[float, Range(0)] = 0.4
    """Weight of the loss of UPerNet's auxiliary head."""
    loss_over: Literal["known", "all"] = "known"
    """What the loss is a mean over: pixels whose class is known; or all, as in the papers' code (OpenMMLab's), where
    ignored pixels add nothing to the sum but count, so that gradients shrink with their share."""


@dataclass(frozen=True)
class SegmentationRecipe(ImageRecipe):
    """A recipe that trains a segmentation network."""

    task: ClassVar[str] = "segmentation"

    augmentation: SegmentationAugmentation = field(default_factory=SegmentationAugmentation)
    segmentation: SegmentationHead = field(default_factory=SegmentationHead)
    drop_path: Annotated[float, Range(0, 0.999)] = 0.0
    """Stochastic depth (Huang et al. 2016): rate of the last block; linearly less for earlier ones."""
