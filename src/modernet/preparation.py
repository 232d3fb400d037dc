"""How images are prepared for a network: size, crop, interpolation, normalisation."""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Interpolation = Literal["bilinear", "bicubic", "opencv"]
"""How images are resized: with antialiasing, as PIL does; opencv is bilinear without, as `cv2.resize` and so the
detectors and segmenters of OpenMMLab."""
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and standard deviation of the channels of ImageNet's images, in [0, 1]."""
Size = tuple[int, int]
"""Height and width in pixels."""
ImageSize = int | Size
"""Side of a square image in pixels, or its height and width."""


def as_size(image_size: ImageSize) -> Size:
    """Return height and width, which an integer gives for both."""
    return (image_size, image_size) if isinstance(image_size, int) else image_size


@dataclass(frozen=True)
class Preparation:
    """What is done to an image before a network sees it: cut to its centre, resized, normalised.

    Attributes:
        image_size: side of the square that the network sees, in pixels, or height and width.
        mean: of each channel, for images in [0, 1].
        std: standard deviation of each channel, likewise.
        crop: share of the centre that is kept along each side: 0.875 is ImageNet's 224 of 256.
        interpolation: of the resize.
    """

    image_size: ImageSize
    mean: tuple[float, ...]
    std: tuple[float, ...]
    crop: float = 1.0
    interpolation: Interpolation = "bilinear"

    @property
    def size(self) -> Size:
        """Height and width of what the network sees."""
        return as_size(self.image_size)

    @property
    def pil_interpolation(self) -> Literal["bilinear", "bicubic"]:
        """The interpolation for code that has only PIL's: opencv is bilinear."""
        return "bilinear" if self.interpolation == "opencv" else self.interpolation

    def with_size(self, image_size: ImageSize) -> Preparation:
        """Return the same preparation for another size."""
        return replace(self, image_size=image_size)

    def normalise(self, images: Tensor) -> Tensor:
        """Scale to [0, 1], subtract the mean and divide by the standard deviation.

        Args:
            images: (b, 3, h, w) or (3, h, w), in [0, 255], of any type.

        Returns:
            float32 of the same shape, in channels_last layout; always a copy.
        """
        import torch

        if images.ndim == 3:
            return self.normalise(images[None])[0]
        scale, offset = _scale_and_offset(self.mean, self.std, images.device)
        images = images.to(torch.float32, memory_format=torch.channels_last, copy=True)
        w = images.shape[-1]
        rows = images.permute(0, 2, 3, 1).flatten(2)  # b h w*3: a CPU is fastest on long rows
        rows.mul_(scale.repeat(w)).add_(offset.repeat(w))
        return images


@functools.cache
def _scale_and_offset(mean: tuple[float, ...], std: tuple[float, ...], device: torch.device) -> tuple[Tensor, Tensor]:
    import torch

    with torch.inference_mode(False):  # or a training could not use what an evaluation has made
        means, stds = (torch.tensor(values, device=device) for values in (mean, std))
        return 1 / (255 * stds), -means / stds
