"""Masks of objects in memory, each within a window of its image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modernet.data.images.views import Box
from modernet.preparation import Size


@dataclass(frozen=True, eq=False)
class InstanceMasks:
    """Masks of n objects in memory, each only within a window of its image: outside of it, nothing is the object's.

    Attributes:
        windows: int64 (n, 4), top, left, height and width in pixels of the image. Around the object there is one more
            pixel on each side that is not at the image's border. Height and width are 0 where only a box is known.
        pixels: bool, the windows one after the other, row by row.
    """

    windows: Tensor
    pixels: Tensor

    def __len__(self) -> int:
        return len(self.windows)

    @property
    def known(self) -> Tensor:
        """Whether there is a mask, bool (n,)."""
        return self.windows[:, 2] > 0

    def split(self) -> list[Tensor]:
        """Return the window of each object, bool (height, width)."""
        height, width = self.windows[:, 2:].unbind(1)
        parts = torch.split(self.pixels, (height * width).tolist())
        return [part.view(size) for part, size in zip(parts, self.windows[:, 2:].tolist(), strict=True)]

    def take(self, chosen: Tensor) -> InstanceMasks:
        """Return some of the masks: bool (n,) or int64."""
        chosen = chosen.to(self.windows.device)
        places = torch.arange(len(self), device=chosen.device)[chosen].tolist()
        parts = self.split()
        return InstanceMasks(
            self.windows[chosen], torch.cat([self.pixels[:0], *(parts[place].flatten() for place in places)])
        )

    def whole(self, size: Size) -> Tensor:
        """Return the masks of images of one size, bool (n, *size)."""
        masks = self.pixels.new_zeros(len(self), *size)
        for mask, part, (top, left, height, width) in zip(masks, self.split(), self.windows.tolist(), strict=True):
            mask[top : top + height, left : left + width] = part
        return masks

    @staticmethod
    def join(masks: Sequence[tuple[Box, Tensor] | None]) -> InstanceMasks:
        """Join what `View.map_mask` returns of objects; None where only a box is known."""
        known = [(Box(0, 0, 0, 0), torch.empty(0, dtype=torch.bool)) if mask is None else mask for mask in masks]
        windows = torch.tensor([window for window, _ in known], dtype=torch.int64).view(-1, 4)
        return InstanceMasks(
            windows, torch.cat([torch.empty(0, dtype=torch.bool), *(part.flatten() for _, part in known)])
        )


def tight_window(mask: Tensor, top: int = 0, left: int = 0) -> tuple[Box, Tensor]:
    """Return the smallest window that holds a mask, bool (h, w), and the mask within it; both empty without a pixel.

    Args:
        top, left: where the mask begins in its image.
    """
    rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
    if not len(rows):
        return Box(0, 0, 0, 0), mask[:0, :0]
    part = mask[int(rows[0]) : int(rows[-1]) + 1, int(columns[0]) : int(columns[-1]) + 1]
    return Box(top + int(rows[0]), left + int(columns[0]), *part.shape), part
