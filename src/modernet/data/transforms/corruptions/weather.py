"""Weather corruptions of ImageNet-C: snow, frost, fog, brightness."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.corruption import CORRUPTIONS, Corruption
from modernet.data.transforms.corruptions.filters import motion_blurred
from modernet.data.transforms.corruptions.frost_pictures import covering, frost_picture
from modernet.data.transforms.corruptions.hsv import hsv_of, rgb_of
from modernet.data.transforms.corruptions.plasma import plasma

_SNOW = (
    (0.1, 0.3, 3, 0.5, 10, 4, 0.8),
    (0.2, 0.3, 2, 0.5, 12, 4, 0.7),
    (0.55, 0.3, 4, 0.9, 12, 8, 0.7),
    (0.55, 0.3, 4.5, 0.85, 12, 8, 0.65),
    (0.55, 0.3, 2.5, 0.85, 12, 12, 0.55),
)
_FROST = ((1, 0.4, 1), (0.8, 0.6, 1), (0.7, 0.7, 1), (0.65, 0.7, 1), (0.6, 0.75, 1))
_BRIGHTNESS = ((0.1,), (0.2,), (0.3,), (0.4,), (0.5,))


def snow(
    images: Tensor,
    chance: ImageChance,
    mean: float,
    deviation: float,
    zoom: float,
    threshold: float,
    radius: int,
    sigma: float,
    share: float,
) -> Tensor:
    """Whiten each image, and add flakes that fall: noise, enlarged, cut off below a threshold, and blurred by motion.

    The flakes are added twice, as they are and turned by 180 degrees. Where an image is not square, each side of the
    noise is enlarged by itself; the originals are square.

    Args:
        mean, deviation: of the noise, where 1 is white.
        zoom: by how much its middle is enlarged.
        threshold: below which noise is no flake.
        radius, sigma: of the motion blur, in pixels; its angle is -135 to -45 degrees.
        share: of the image that is not whitened.
    """
    *_, h, w = images.shape
    flakes = _enlarged(chance.normal(1, h, w) * deviation + mean, zoom)
    flakes = F.threshold(flakes, threshold, 0).clamp_(0, 1).mul_(255).to(torch.uint8)
    flakes = motion_blurred(flakes, radius, sigma, chance.uniform(-135, -45)).float() / 255

    images = images.contiguous().float().div_(255)
    red, green, blue = images.unbind(1)
    grey = (0.299 * red + 0.587 * green + 0.114 * blue)[:, None]
    whitened = images.maximum(grey.mul_(1.5).add_(0.5)).mul_(1 - share).add_(images.mul_(share))
    return whitened.add_(flakes + flakes.flip(2, 3)).mul_(255)


def _enlarged(images: Tensor, zoom: float) -> Tensor:
    """Enlarge the middle of images, (b, c, h, w), to their size, bilinearly; each side by itself."""
    sides = images.shape[2:]
    middle = [math.ceil(side / zoom) for side in sides]
    for axis, (side, part) in enumerate(zip(sides, middle, strict=True), 2):
        images = images.narrow(axis, (side - part) // 2, part)
    images = F.interpolate(images, size=[round(part * zoom) for part in middle], mode="bilinear", align_corners=True)
    for axis, side in enumerate(sides, 2):
        images = images.narrow(axis, (images.shape[axis] - side) // 2, side)
    return images


def frost(
    images: Tensor, chance: ImageChance, share: float, strength: float, scale: float, *, folder: Path | None = None
) -> Tensor:
    """Add a random crop of one of five pictures of frost, `share` of the image + `strength` of the frost.

    As published, the sixth picture is never drawn, nor are the last positions of the crop. A picture of frost smaller
    than the image is enlarged to cover it; the originals have no images so large.

    Args:
        scale: of the picture before it is cropped.
        folder: with the six published pictures; None synthesises frost (`frost_picture`).

    Raises:
        InputError: the folder does not have the published files.
    """
    *_, h, w = images.shape
    covers = [covering(frost_picture(folder, index, scale), h, w) for index in chance.integers(0, 5).tolist()]
    crops = [_cropped(cover, h, w, stream) for cover, stream in zip(covers, chance.streams, strict=True)]
    sums = _sums(share, strength).to(images.device)
    pixels = images.permute(0, 2, 3, 1).int()  # b h w c, as images are in memory
    places = pixels.mul_(256).add_(torch.stack(crops).to(images.device))
    return sums.index_select(0, places.flatten()).reshape(places.shape).permute(0, 3, 1, 2)


@lru_cache
def _sums(share: float, strength: float) -> Tensor:
    """Return what each level of an image and each of frost give, uint8 (256 * 256,)."""
    levels = torch.arange(256, dtype=torch.float64)
    return (share * levels[:, None] + strength * levels).clamp_(max=255).to(torch.uint8).flatten()


def _cropped(picture: Tensor, h: int, w: int, stream: np.random.Generator) -> Tensor:
    top, left = (
        int(stream.integers(0, max(1, length - side))) for length, side in zip(picture.shape, (h, w), strict=False)
    )
    return picture[top : top + h, left : left + w]


def fog(images: Tensor, chance: ImageChance, strength: float, decay: float, side: int) -> Tensor:
    """Add a cloud, and scale so that what would be the brightest value is that of the image again.

    Args:
        strength: of the cloud's brightest point, where 1 is white.
        decay: of the cloud's detail, `plasma`.
        side: of the cloud, of which the top left part is used; for images that are larger, the next power of two.
    """
    *_, h, w = images.shape
    side = max(side, 1 << (max(h, w) - 1).bit_length())
    clouds = plasma(chance, side, decay)[:, None, :h, :w]
    brightest = images.amax((1, 2, 3), keepdim=True).float() / 255
    scale = brightest / (brightest + strength)
    return images.contiguous().float().mul_(scale).add_(clouds.mul_(255 * strength * scale))


def brightness(images: Tensor, chance: ImageChance, amount: float) -> Tensor:
    """Add to the value of hue, saturation and value."""
    hue, saturation, value = hsv_of(images)
    return rgb_of(hue, saturation, (value + amount).clamp_(0, 1))


CORRUPTIONS.add(
    "snow",
    Corruption(
        "c",
        snow,
        {
            32: (
                (0.1, 0.2, 1, 0.6, 8, 3, 0.95),
                (0.1, 0.2, 1, 0.5, 10, 4, 0.9),
                (0.15, 0.3, 1.75, 0.55, 10, 4, 0.9),
                (0.25, 0.3, 2.25, 0.6, 12, 6, 0.85),
                (0.3, 0.3, 1.25, 0.65, 14, 12, 0.8),
            ),
            64: (
                (0.1, 0.2, 1, 0.6, 8, 3, 0.8),
                (0.1, 0.2, 1, 0.5, 10, 4, 0.8),
                (0.15, 0.3, 1.75, 0.55, 10, 4, 0.7),
                (0.25, 0.3, 2.25, 0.6, 12, 6, 0.65),
                (0.3, 0.3, 1.25, 0.65, 14, 12, 0.6),
            ),
            224: _SNOW,
            299: _SNOW,
        },
    ),
)
CORRUPTIONS.add(
    "frost",
    Corruption(
        "c",
        frost,
        {
            32: ((1, 0.2, 0.2), (1, 0.3, 0.2), (0.9, 0.4, 0.2), (0.85, 0.4, 0.2), (0.75, 0.45, 0.2)),
            64: ((1, 0.3, 0.3), (0.9, 0.4, 0.3), (0.8, 0.45, 0.3), (0.75, 0.5, 0.3), (0.7, 0.55, 0.3)),
            224: _FROST,
            299: _FROST,
        },
    ),
)
CORRUPTIONS.add(
    "fog",
    Corruption(
        "c",
        fog,
        {
            32: ((0.2, 3, 32), (0.5, 3, 32), (0.75, 2.5, 32), (1, 2, 32), (1.5, 1.75, 32)),
            64: ((0.4, 3, 64), (0.7, 3, 64), (1, 2.5, 64), (1.5, 2, 64), (2, 1.75, 64)),
            224: ((1.5, 2, 256), (2, 2, 256), (2.5, 1.7, 256), (2.5, 1.5, 256), (3, 1.4, 256)),
            299: ((1.5, 2, 512), (2, 2, 512), (2.5, 1.8, 512), (2.5, 1.6, 512), (3, 1.5, 512)),
        },
    ),
)
CORRUPTIONS.add(
    "brightness",
    Corruption(
        "c",
        brightness,
        {
            32: ((0.05,), (0.1,), (0.15,), (0.2,), (0.3,)),
            64: _BRIGHTNESS,
            224: _BRIGHTNESS,
            299: _BRIGHTNESS,
        },
    ),
)
