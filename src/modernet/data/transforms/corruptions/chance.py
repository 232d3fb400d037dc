"""Random numbers of a corruption: those of an image are the same in every batch, process and machine.

By default they depend on its pixels (`content_keys`): where two machines decode a JPEG to pixels that differ, they
differ too.
"""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Iterator, Sequence
from functools import cached_property

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
        keys: of the images; equal keys have equal draws. Of the images themselves, uint8 (b, 3, h, w), `content_keys`
            are taken once something is drawn.
        device: where they are wanted.
    """

    def __init__(self, seed: int, use: str, keys: Sequence[int] | Tensor, device: torch.device) -> None:
        self._entropy = [seed % 2**63, zlib.crc32(use.encode())]
        self._keys = keys
        self._device = device

    @cached_property
    def streams(self) -> list[np.random.Generator]:
        """The random numbers of each image."""
        keys = content_keys(self._keys) if isinstance(self._keys, Tensor) else self._keys
        return [np.random.Generator(np.random.SFC64([*self._entropy, key])) for key in keys]

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

    def noise(self, c: int, h: int, w: int) -> Tensor:
        """Draw from the standard normal distribution, float32 (b, c, h, w), in the memory order of decoded images.

        The method is that of Box and Muller, which torch vectorises.
        """
        uniform = torch.empty(len(self.streams), 2, (c * h * w + 1) // 2)
        for stream, numbers in zip(self.streams, uniform.numpy(), strict=True):
            stream.random(out=numbers, dtype=np.float32)
        radius, angle = uniform.unbind(1)
        radius.neg_().add_(1).log_().mul_(-2).sqrt_()
        angle.mul_(2 * math.pi)
        across = radius * angle.sin()
        radius.mul_(angle.cos_())
        angle.copy_(across)
        draws = uniform.flatten(1)[:, : c * h * w].view(-1, h, w, c)
        return draws.permute(0, 3, 1, 2).to(self._device)

    def uniform(self, low: float, high: float, *shape: int) -> Tensor:
        """Draw evenly from [low, high), float64."""
        draws = torch.empty(len(self.streams), *shape, dtype=torch.float64)
        for i, stream in enumerate(self.streams):
            stream.random(out=draws[i : i + 1].numpy())
        return draws.mul_(high - low).add_(low).to(self._device)

    def integers(self, low: int, high: int, *shape: int) -> Tensor:
        """Draw evenly from the integers low to high - 1, int64."""
        return self._stacked([stream.integers(low, high, shape) for stream in self.streams])

    def _stacked(self, draws: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(draws)).to(self._device)


def content_keys(images: Tensor) -> list[int]:
    """Return a key for each image of a batch, uint8 (b, 3, h, w), that depends on its pixels alone.

    It is a checksum of rows at even distances, 32 to 63 of them; of all where there are fewer: enough to tell images
    apart, and little to copy where their memory is not in the order height, width, channel.
    """
    rows = images[:, :, :: max(1, images.shape[2] // 32)]
    return [zlib.crc32(image) for image in rows.permute(0, 2, 3, 1).cpu().contiguous().numpy()]
