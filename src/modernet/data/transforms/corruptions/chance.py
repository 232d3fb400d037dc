"""Random numbers of a corruption: those of an image are the same in every batch, process and machine.

By default they depend on its pixels (`content_keys`): where two machines decode a JPEG to pixels that differ, they
differ too.
"""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor

from modernet.data.transforms.corruptions.filters import parts


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

    def parts(self, images: Tensor) -> Iterator[tuple[Tensor, ImageChance]]:
        """Divide the batch into what is computed at once, as `filters.parts` does, each part with its draws."""
        start = 0
        for part in parts(images):
            draws = copy.copy(self)
            draws.streams = self.streams[start : start + len(part)]
            start += len(part)
            yield part, draws

    def normal(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution, float32."""
        return self._stacked([stream.standard_normal(shape, dtype=np.float32) for stream in self.streams])

    def noise(self, *shape: int) -> Tensor:
        """Draw from the standard normal distribution, float32, a number for each value of an image.

        The method is that of Box and Muller, which torch vectorises; it takes 0.85 of the time of `normal`.
        """
        count = math.prod(shape)
        uniform = np.stack([stream.random((2, (count + 1) // 2), dtype=np.float32) for stream in self.streams])
        radius = torch.from_numpy(1 - uniform[:, 0]).log_().mul_(-2).sqrt_()
        angle = torch.from_numpy(uniform[:, 1] * np.float32(2 * math.pi))
        draws = torch.cat([radius * angle.cos(), radius * angle.sin()], 1)[:, :count]
        return draws.reshape(len(draws), *shape).to(self._device)

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
