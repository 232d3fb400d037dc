"""Random numbers of a corruption: those of an image are the same in every batch, process and machine."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor


class ImageChance:
    """Draws for each image of a batch from a stream of its own.

    Every method returns one draw per image, `(b, *shape)`, on the device of the images. They are drawn on the CPU by
    numpy, so that they are the same on every device.

    Args:
        seed: of all draws.
        use: what they are for, such as a corruption and its severity; other uses have other draws.
        keys: of the images; equal keys have equal draws.
        device: where they are wanted.
    """

    def __init__(self, seed: int, use: str, keys: Sequence[int], device: torch.device) -> None:
        entropy = [seed % 2**63, zlib.crc32(use.encode())]
        self.streams = [np.random.Generator(np.random.SFC64([*entropy, key])) for key in keys]
        self._device = device

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution, float32."""
        return self._stacked([stream.standard_normal(shape, dtype=np.float32) for stream in self.streams])

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw evenly from [low, high), float64."""
        return self._stacked([stream.uniform(low, high, shape) for stream in self.streams])

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Draw evenly from the integers low to high - 1, int64."""
        return self._stacked([stream.integers(low, high, shape) for stream in self.streams])

    def _stacked(self, draws: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(draws)).to(self._device)


def content_keys(images: Tensor) -> list[int]:
    """Return a key for each image of a batch, uint8 (b, 3, h, w), that depends on its pixels alone."""
    pixels = images.cpu().permute(0, 2, 3, 1).contiguous().numpy()  # in memory, batches are n h w c already
    return [zlib.crc32(image) for image in pixels]
