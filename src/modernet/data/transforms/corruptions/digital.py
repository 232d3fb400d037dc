"""Digital corruptions of ImageNet-C."""

from __future__ import annotations

from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.corruption import CORRUPTIONS, Corruption


def contrast(images: Tensor, chance: ImageChance, share: float) -> Tensor:
    """Keep a share of the distance of each channel to its mean over the image."""
    images = images.double() / 255
    means = images.mean((-2, -1), keepdim=True)
    return ((images - means) * share + means).clamp(0, 1) * 255


CORRUPTIONS.add(
    "contrast",
    Corruption(
        "c",
        "digital",
        contrast,
        {
            32: ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
            64: ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
            224: ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
            299: ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,)),
        },
    ),
)
