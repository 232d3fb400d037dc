"""Digital corruptions of ImageNet-C: contrast, elastic transform, pixelation, JPEG; of its extra ones, saturation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.corruption import CORRUPTIONS, Corruption
from modernet.data.transforms.corruptions.elastic import elastic_transform
from modernet.data.transforms.corruptions.hsv import hsv_of, rgb_of
from modernet.data.transforms.corruptions.jpeg import as_jpeg

_CONTRAST = ((0.4,), (0.3,), (0.2,), (0.1,), (0.05,))


def contrast(images: Tensor, chance: ImageChance, share: float) -> Tensor:
    """Keep a share of the distance of each channel to its mean over the image."""
    images = images.contiguous()
    means = images.double().mean((2, 3)).div_(255)[..., None]  # b 3 1
    levels = torch.arange(256, dtype=torch.float64, device=images.device) / 255
    changed = (((levels - means) * share + means) * 255).to(torch.uint8)  # b 3 256
    channels = torch.arange(changed[..., 0].numel(), dtype=torch.int32, device=images.device)
    places = images.int() + 256 * channels.reshape(-1, 3, 1, 1)
    return changed.flatten().index_select(0, places.flatten()).reshape(images.shape)


def pixelate(images: Tensor, chance: ImageChance, share: float) -> Tensor:
    """Shrink both sides to a share, rounded down, and enlarge them again, both by PIL's filter BOX.

    Enlarging by BOX repeats pixels.
    """
    *_, h, w = images.shape
    size = (max(1, int(w * share)), max(1, int(h * share)))
    rows, columns = _repeated(size[1], h), _repeated(size[0], w)
    values = (columns[:, None] * 3 + np.arange(3)).ravel()  # of a row: red, green and blue of each column
    pixelated = np.empty((len(images), h, w * 3), np.uint8)
    for image, large in zip(images.permute(0, 2, 3, 1).cpu().contiguous().numpy(), pixelated, strict=True):
        small = np.asarray(Image.fromarray(image).resize(size, Image.Resampling.BOX))
        small.reshape(len(small), -1).take(values, 1).take(
            rows, 0, out=large, mode="clip"
        )  # which, unlike "raise", needs no buffer
    return torch.from_numpy(pixelated).view(-1, h, w, 3).permute(0, 3, 1, 2).to(images.device)


def _repeated(small: int, large: int) -> NDArray[np.int64]:
    """Return which of `small` pixels in a row each of `large` repeats: the one that contains its center."""
    return ((np.arange(large) + 0.5) * (small / large)).astype(np.int64)


def jpeg_compression(images: Tensor, chance: ImageChance, quality: int) -> Tensor:
    """Write a JPEG file of a quality and read it."""
    return as_jpeg(images, quality)


def saturate(images: Tensor, chance: ImageChance, factor: float, amount: float) -> Tensor:
    """Multiply the saturation of hue, saturation and value by a factor, and add an amount."""
    hue, saturation, value = hsv_of(images)
    return rgb_of(hue, (saturation * factor + amount).clamp_(0, 1), value)


CORRUPTIONS.add(
    "contrast",
    Corruption(
        "c",
        contrast,
        {
            32: ((0.75,), (0.5,), (0.4,), (0.3,), (0.15,)),
            64: _CONTRAST,
            224: _CONTRAST,
            299: _CONTRAST,
        },
    ),
)
CORRUPTIONS.add(
    "elastic_transform",
    Corruption(
        "c",
        elastic_transform,
        {
            32: (
                (32, 0, 0, 0.08),
                (32, 0.05, 0.2, 0.07),
                (32, 0.08, 0.06, 0.06),
                (32, 0.1, 0.04, 0.05),
                (32, 0.1, 0.03, 0.03),
            ),
            64: (
                (64, 0, 0, 0.08),
                (64, 0.05, 0.3, 0.06),
                (64, 0.1, 0.08, 0.06),
                (64, 0.1, 0.03, 0.03),
                (64, 0.16, 0.03, 0.02),
            ),
            224: (
                (244, 2, 0.7, 0.1),
                (244, 2, 0.08, 0.2),
                (244, 0.05, 0.01, 0.02),
                (244, 0.07, 0.01, 0.02),
                (244, 0.12, 0.01, 0.02),
            ),
            299: (
                (360, 2, 0.7, 0.1),
                (360, 2, 0.08, 0.2),
                (360, 0.05, 0.01, 0.02),
                (360, 0.07, 0.01, 0.02),
                (360, 0.12, 0.01, 0.02),
            ),
        },
    ),
)
CORRUPTIONS.add(
    "pixelate",
    Corruption(
        "c",
        pixelate,
        {
            32: ((0.95,), (0.9,), (0.85,), (0.75,), (0.65,)),
            64: ((0.9,), (0.8,), (0.7,), (0.6,), (0.5,)),
            224: ((0.6,), (0.5,), (0.4,), (0.3,), (0.25,)),
            299: ((0.5,), (0.4,), (0.3,), (0.25,), (0.2,)),
        },
    ),
)
CORRUPTIONS.add(
    "jpeg_compression",
    Corruption(
        "c",
        jpeg_compression,
        {
            32: ((80,), (65,), (58,), (50,), (40,)),
            64: ((65,), (58,), (50,), (40,), (25,)),
            224: ((25,), (18,), (15,), (10,), (7,)),
            299: ((23,), (16,), (13,), (8,), (5,)),
        },
    ),
)
CORRUPTIONS.add(
    "saturate",
    Corruption(
        "extra",
        saturate,
        {
            32: ((0.3, 0), (0.1, 0), (1.5, 0), (2, 0.1), (2.5, 0.2)),
            64: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (30, 0.2)),
            224: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
            299: ((0.3, 0), (0.1, 0), (2, 0), (5, 0.1), (20, 0.2)),
        },
    ),
)
