"""The recipe of a detector."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, ClassVar, Literal

from modernet.errors import InputError
from modernet.preparation import ImageSize, Preparation, as_size
from modernet.recipes.base import Range
from modernet.recipes.images import DetectionAugmentation, ImageRecipe, ImageSizes


@dataclass(frozen=True)
class DetectionSizes(ImageSizes):
    """Size of the images, which are scaled to fit into it, whichever way they are turned; nothing is cut off."""

    long_side: Annotated[int | None, Range(2)] = None
    """Most pixels of the longer side, where `image_size` is that of the shorter one: 1333 with 800 in the papers. None:
    images fit into a square of `image_size`."""

    def __post_init__(self) -> None:
        if self.test_crop != 1:
            raise InputError(f"test_crop is {self.test_crop}, but detection sees whole images; set it to 1")
        if self.image_size is not None:
            self._fitting(self.image_size, self.image_size)

    def in_training(self, data: Preparation) -> Preparation:
        """As `ImageSizes.in_training`."""
        return replace(super().in_training(data), image_size=self._fitting(data.image_size, data.image_size))

    def in_test(self, data: Preparation) -> Preparation:
        """As `ImageSizes.in_test`; with another `test_size`, `long_side` keeps its proportion to it."""
        prepared = super().in_test(data)
        return replace(prepared, image_size=self._fitting(prepared.image_size, data.image_size))

    def _fitting(self, size: ImageSize, in_training: ImageSize) -> ImageSize:
        if self.long_side is None:
            return size
        short, trained = min(as_size(size)), min(as_size(in_training))
        if self.long_side < trained:
            raise InputError(f"long_side is {self.long_side}, below image_size, {trained}; set it to that or more")
        return short, round(self.long_side * short / trained)


@dataclass(frozen=True)
class DetectionHead:
    """What finds objects in feature maps."""

    detector: Literal["mask_rcnn", "cascade_mask_rcnn"] = "mask_rcnn"
    """Mask R-CNN (He et al. 2017), or Cascade Mask R-CNN (Cai and Vasconcelos 2017), which improves its boxes twice."""
    masks: bool = True
    """Learn masks where the data has them. Without, Mask R-CNN is Faster R-CNN."""
    head_width: Annotated[int, Range(8)] = 256
    """Channels of the feature pyramid and of the heads' convolutions."""
    head_hidden: Annotated[int, Range(8)] = 1024
    """Channels of the heads' linear layers."""
    sampled: Annotated[int, Range(4)] = 512
    """Boxes of an image that the heads learn from in a step. Fewer are faster."""


@dataclass(frozen=True)
class DetectionRecipe(ImageRecipe):
    """A recipe that trains a detector."""

    task: ClassVar[str] = "detection"

    images: DetectionSizes = field(default_factory=DetectionSizes)
    augmentation: DetectionAugmentation = field(default_factory=DetectionAugmentation)
    detection: DetectionHead = field(default_factory=DetectionHead)
    drop_path: Annotated[float, Range(0, 0.999)] = 0.0
    """Stochastic depth (Huang et al. 2016): rate of the last block; linearly less for earlier ones."""
