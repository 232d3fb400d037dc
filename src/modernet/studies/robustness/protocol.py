"""How images reach a network in a test of robustness: what is corrupted, how it is stored, what the network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from modernet.data.transforms.corruptions import Corrupt
from modernet.data.transforms.corruptions.jpeg import as_jpeg
from modernet.preparation import Interpolation, Preparation, Size

_SIDE, _CROP = 224, 0.875
"""ImageNet-C: the shorter side is scaled to 256, and the central 224 x 224 is kept."""
_SMALLEST = 128
"""Networks for smaller images have corruptions at their own size."""
_QUALITY = 85
"""The published images are JPEGs of this quality; those of CIFAR-10-C are arrays."""
_SMALLEST_JPEG = 46
"""The shorter side from which on the table of 64 pixels is nearer than that of 32."""


@dataclass(frozen=True)
class ImageProtocol:
    """What is done to an image before, between and after its corruption.

    Attributes:
        images: size, crop and interpolation of the images that are corrupted; mean and std are the network's.
        jpeg_quality: of the JPEG that every image becomes before it is tested, corrupted or not; None: none.
        network: what the network sees.
    """

    images: Preparation
    jpeg_quality: int | None
    network: Preparation

    @staticmethod
    def of(network: Preparation) -> ImageProtocol:
        """Return the protocol for a network whose images are prepared in this way.

        Those of 128 pixels or more are tested as ImageNet-C was made: images are cropped to 224 pixels, corrupted,
        stored as JPEG, and scaled to the network's size. Smaller ones, and those that are not square, are corrupted at
        the network's size.
        """
        h, w = network.size
        quality = None if min(h, w) < _SMALLEST_JPEG else _QUALITY
        if min(h, w) < _SMALLEST or h != w:
            return ImageProtocol(network, quality, network)
        return ImageProtocol(Preparation(_SIDE, network.mean, network.std, _CROP), quality, network)

    @property
    def is_published(self) -> bool:
        """Whether it is that of ImageNet-C."""
        return self.images.size == (_SIDE, _SIDE) and self.images.crop == _CROP

    def identity(self) -> dict[str, Any]:
        """Return what distinguishes it from others, JSON-able."""
        crop, seen = self.images, self.network
        return {
            "corrupted size": list(crop.size),
            "crop": crop.crop,
            "interpolation": crop.interpolation,
            "JPEG quality": self.jpeg_quality,
            "network's size": list(seen.size),
            "network's interpolation": seen.interpolation,
            "mean": list(seen.mean),
            "std": list(seen.std),
        }

    def words(self) -> dict[str, str]:
        """Return it for people, part by part."""
        crop, seen = self.images, self.network
        h, w = crop.size
        covered = round(min(h, w) / crop.crop)
        stored = f"JPEG, quality {self.jpeg_quality}, of clean images too" if self.jpeg_quality else "no JPEG"
        resized = (
            "at the size of the corruption"
            if seen.size == crop.size
            else f"scaled to {_text(seen.size)}, {seen.interpolation}"
        )
        return {
            "images": f"shorter side scaled to {covered}, {crop.interpolation}; central {h} x {w}",
            "stored": stored,
            "network": f"{resized}; normalised by its mean and std",
        }

    def stored(self, corrupt: Corrupt | None) -> AsStored:
        """Return the transform of images that are corrupted or, for None, clean."""
        return AsStored(corrupt, self.jpeg_quality)


@dataclass(frozen=True)
class AsStored:
    """A `BatchTransform`: corrupts images and gives them back as they are read from their JPEG."""

    corrupt: Corrupt | None
    jpeg_quality: int | None

    def __call__(self, images: Tensor, positions: NDArray[np.int64]) -> Tensor:
        if self.corrupt is not None:
            images = self.corrupt(images)
        return images if self.jpeg_quality is None else as_jpeg(images, self.jpeg_quality)


class Resized(nn.Module):
    """A network that sees images at another size than they are given.

    Args:
        network: takes images `(b, 3, *size)`.
        size: height and width.
        interpolation: of the resize; in floating point, so that nothing is rounded.
    """

    def __init__(self, network: nn.Module, size: Size, interpolation: Interpolation) -> None:
        super().__init__()
        self.network, self._size = network, size
        self._mode = "bilinear" if interpolation == "opencv" else interpolation
        self._antialias = interpolation != "opencv"

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[-2:] != torch.Size(self._size):
            images = F.interpolate(images, self._size, mode=self._mode, antialias=self._antialias)
        answers: Tensor = self.network(images)
        return answers


def _text(size: Size) -> str:
    return f"{size[0]} x {size[1]}"
