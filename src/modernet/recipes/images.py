"""What recipes of image tasks share: size, crop and augmentation of the images."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Annotated, Literal

from modernet.errors import InputError
from modernet.preparation import Interpolation, Preparation
from modernet.recipes.base import Range, Recipe


@dataclass(frozen=True)
class ImageSizes:
    """Size and crop of the images."""

    image_size: Annotated[int | None, Range(2)] = None
    """Side of the training images in pixels; None: that of the data, or of the pretrained weights."""
    test_size: Annotated[int | None, Range(2)] = None
    """Side of the images in validation and test; None: the training size."""
    test_crop: Annotated[float, Range(1e-3, 1)] = 1.0
    """Center crop in validation and test, as a share of the shorter side: 0.875 is ImageNet's 224 of 256."""
    interpolation: Interpolation = "bilinear"
    """Interpolation of every resize, in training and test."""

    def in_training(self, data: Preparation) -> Preparation:
        """Return how training images are prepared, for data that was opened at its size."""
        return replace(data, crop=1.0, interpolation=self.interpolation)

    def in_test(self, data: Preparation) -> Preparation:
        """Return how images are prepared in validation and test, and for the trained network."""
        size = data.image_size if self.test_size is None else self.test_size
        return replace(data, image_size=size, crop=self.test_crop, interpolation=self.interpolation)


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of the training images, in this order except that shift follows flip."""

    flip: Annotated[float, Range(0, 1)] = 0.5
    """Probability of a horizontal flip. 0 where left and right matter, as for digits."""
    shift: Annotated[float, Range(0, 1)] = 0.0
    """Largest shift in each direction, as a share of the side; the border is filled by reflection."""
    crop_scale: Annotated[float, Range(1e-3, 1)] = 1.0
    """Smallest area of a random resized crop, as a share of the image; 1: no crop."""
    rand_augment: str = ""
    """RandAugment in timm's notation, such as rand-m9-mstd0.5-inc1: magnitude 9, its noise 0.5; empty is off."""
    color_jitter: Annotated[float, Range(0)] = 0.0
    """Largest relative change of brightness, contrast and saturation; not used with RandAugment, as in timm."""
    erasing: Annotated[float, Range(0, 1)] = 0.0
    """Probability that a random rectangle (2-33 % of the area) is replaced by noise (Zhong et al. 2017)."""
    cutout: Annotated[float, Range(0, 1)] = 0.0
    """Side of a square that is always zeroed, as a share of the image's side (DeVries and Taylor 2017)."""
    mixup: Annotated[float, Range(0)] = 0.0
    """Alpha of the Beta distribution of mixup (Zhang et al. 2017); 0: off."""
    cutmix: Annotated[float, Range(0)] = 0.0
    """Alpha of the Beta distribution of cutmix (Yun et al. 2019); 0: off."""
    mix_prob: Annotated[float, Range(0, 1)] = 1.0
    """Probability that a batch (or image, see `mix_mode`) is mixed at all."""
    mix_switch_prob: Annotated[float, Range(0, 1)] = 0.5
    """Probability of cutmix rather than mixup if both are on."""
    mix_mode: Literal["batch", "pair", "elem"] = "batch"
    """Draw choice and share once per batch, per pair of images, or per image."""
    repeats: Annotated[int, Range(1)] = 1
    """Repeated augmentation (Hoffer et al. 2019): copies of each image per epoch, of proportionally fewer images."""


@dataclass(frozen=True)
class DenseAugmentation(Augmentation):
    """Augmentation of images whose targets have a place in them."""

    scale_min: Annotated[float, Range(1e-2, 10)] = 1.0
    """Smallest factor by which an image is scaled before a random crop of the training size: for segmentation relative
    to the size at which it just covers that, and the rest of a crop is padded; for detection relative to the size at
    which it just fits in (large-scale jitter, Ghiasi et al. 2021: 0.1 to 2). 1 and 1: no such crop."""
    scale_max: Annotated[float, Range(1e-2, 10)] = 1.0
    """Largest such factor."""
    photometric: bool = False
    """Distort brightness, contrast, saturation and hue at random, with OpenMMLab's ranges."""

    def __post_init__(self) -> None:
        if self.scale_min > self.scale_max:
            raise InputError(f"scale_min is {self.scale_min}, above scale_max, {self.scale_max}; exchange them")
        if self.rescales and self.crop_scale < 1:
            raise InputError("crop_scale and scale_min are two kinds of random crops; set crop_scale to 1")

    @property
    def rescales(self) -> bool:
        """Whether crops are cut at random scales."""
        return (self.scale_min, self.scale_max) != (1.0, 1.0)


@dataclass(frozen=True)
class SegmentationAugmentation(DenseAugmentation):
    """Augmentation of images with label maps."""

    class_share: Annotated[float, Range(0, 1)] = 1.0
    """Largest share of a crop that one class may fill: up to ten crops are drawn; 1: any."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.class_share < 1 and not self.rescales and self.crop_scale == 1:
            raise InputError(f"class_share is {self.class_share}, but nothing is cropped; set scale_max, or 1")


@dataclass(frozen=True)
class DetectionAugmentation(DenseAugmentation):
    """Augmentation of images with boxes, which are fitted into the training size and never stretched."""

    multi_scale: bool = False
    """The multi-scale training of DETR, Swin and ConvNeXt: the shorter side from 0.6 to 1 of its size in eleven steps,
    for half of the images after a random crop."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.multi_scale and self.rescales:
            raise InputError(
                "multi_scale and scale_min are two kinds of random sizes; set scale_min and scale_max to 1"
            )
        if self.multi_scale and self.crop_scale < 1:
            raise InputError("multi_scale and crop_scale are two kinds of random crops; set crop_scale to 1")


@dataclass(frozen=True)
class ImageRecipe(Recipe):
    """A recipe of a task on images."""

    images: ImageSizes = field(default_factory=ImageSizes)
    augmentation: Augmentation = field(default_factory=Augmentation)

    @property
    def cuts_images(self) -> bool:
        """Whether it crops images, and so needs them whole instead of as squares."""
        sizes = self.images
        resized = sizes.test_size is not None and sizes.test_size != sizes.image_size
        return resized or self.augmentation.crop_scale < 1 or sizes.test_crop < 1
