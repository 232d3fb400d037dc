"""Shift, flip and crop of whole batches on their device, as a value that moves targets as well.

What is random is drawn on the CPU, from a generator that the caller seeds, as a few numbers an image; the pixels are
then moved in one operation for the batch. So a batch is augmented in the same way on every device.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.transforms.random_crops import random_crops
from modernet.preparation import Interpolation, Size
from modernet.recipes import Augmentation

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Moves:
    """How the images of a batch are shifted, then mirrored, then cropped.

    Attributes:
        size: height and width of the images.
        down, right: int64 (b,), pixels of the shift; what it uncovers is filled by reflection at the border, without
            repeating the border's own pixels.
        flipped: bool (b,)
        crops: float64 (b, 4), top, left, height and width of the box that is enlarged to the whole image, as shares
            of it; None where nothing is cropped.
    """

    size: Size
    down: Ints
    right: Ints
    flipped: NDArray[np.bool_]
    crops: Floats | None = None

    def apply(self, images: Tensor, interpolation: Interpolation = "bilinear") -> Tensor:
        """Move images.

        Args:
            images: uint8 (b, 3, h, w); each image is shifted by less than its height and width.
            interpolation: how crops are enlarged.

        Returns:
            uint8 or, once cropped, float32 (b, 3, h, w), in [0, 255]; the images themselves where none is moved.
        """
        if self.down.any() or self.right.any() or self.flipped.any():
            images = shift_and_flip(images, self.down, self.right, self.flipped)
        return images if self.crops is None else resample(images, self.crops, interpolation)

    def map_semantic(self, semantic: Tensor) -> Tensor:
        """Move semantic maps, integers (b, h, w), each pixel taking the nearest one's class, also in reflections."""
        (h, w), (rows, columns) = self.size, self._origins()
        return _gather(semantic, _reflect(rows, h), _reflect(columns, w))

    def _origins(self) -> tuple[Ints, Ints]:
        """Return which row (b, h) and column (b, w) of the image each one of the result is, before reflection."""
        h, w = self.size
        rows, columns = np.tile(np.arange(h), (len(self.down), 1)), np.tile(np.arange(w), (len(self.down), 1))
        if self.crops is not None:
            top, left, height, width = self.crops.T[:, :, None]  # b 1 each
            rows = ((top + height * (np.arange(h) + 0.5) / h) * h).astype(np.int64).clip(0, h - 1)
            columns = ((left + width * (np.arange(w) + 0.5) / w) * w).astype(np.int64).clip(0, w - 1)
        columns = np.where(self.flipped[:, None], w - 1 - columns, columns)
        return rows - self.down[:, None], columns - self.right[:, None]


def draw_moves(b: int, size: Size, augmentation: Augmentation, rng: np.random.Generator) -> Moves | None:
    """Draw how a batch of b images is shifted, mirrored and cropped; None where all of these are off."""
    furthest = [min(round(augmentation.shift * side), side - 1) for side in size]  # or reflection would not reach
    down = right = np.zeros(b, dtype=np.int64)
    flipped = np.zeros(b, dtype=np.bool_)
    moved = max(furthest) > 0 or augmentation.flip > 0
    if moved:
        down, right = (rng.integers(-most, most + 1, b) for most in furthest)
        flipped = rng.random(b) < augmentation.flip
    if augmentation.crop_scale == 1:
        return Moves(size, down, right, flipped) if moved else None
    return Moves(size, down, right, flipped, random_crops(b, augmentation.crop_scale, rng))


def shift_and_flip(images: Tensor, down: Ints, right: Ints, flipped: NDArray[np.bool_]) -> Tensor:
    """Move each image by whole pixels, filling the border by reflection (the border's own pixels are not repeated),
    then mirror the chosen ones.

    Args:
        images: (b, c, h, w), any dtype.
        down: (b,) pixels, at most h - 1 either way.
        right: (b,) pixels, at most w - 1 either way.
        flipped: (b,)
    """
    h, w = images.shape[-2:]
    rows = _reflect(np.arange(h) - down[:, None], h)  # b h
    columns = _reflect(np.arange(w) - right[:, None], w)
    columns = np.where(flipped[:, None], columns[:, ::-1], columns)
    # with channels last, a pixel's three bytes are one copy; the result is channels last again
    return _gather(images.permute(0, 2, 3, 1), rows, columns).permute(0, 3, 1, 2)


def _gather(images: Tensor, rows: Ints, columns: Ints) -> Tensor:
    """Pick pixel (rows[i, y], columns[i, x]) of each image i: (b, h, w, ...) -> the same shape."""
    image = torch.arange(len(images), device=images.device)[:, None, None]
    row = torch.from_numpy(rows).to(images.device, non_blocking=True)[:, :, None]
    column = torch.from_numpy(columns).to(images.device, non_blocking=True)[:, None, :]
    return images[image, row, column]


def resample(images: Tensor, boxes: Floats, interpolation: Interpolation = "bilinear") -> Tensor:
    """Enlarge a box of each image to the whole image.

    Args:
        images: (b, c, h, w), in [0, 255].
        boxes: (b, 4), top, left, height and width as shares of the image.

    Returns:
        float32 (b, c, h, w), in [0, 255].
    """
    b, _, h, w = images.shape
    top, left, height, width = torch.from_numpy(boxes).float().to(images.device)[:, :, None].unbind(1)  # b 1 each
    y = (top + height * (torch.arange(h, device=images.device) + 0.5) / h) * 2 - 1
    x = (left + width * (torch.arange(w, device=images.device) + 0.5) / w) * 2 - 1
    grid = torch.stack((x[:, None, :].expand(b, h, w), y[:, :, None].expand(b, h, w)), -1)
    mode = "bicubic" if interpolation == "bicubic" else "bilinear"  # enlarging needs no antialiasing
    enlarged = F.grid_sample(images.float(), grid, mode=mode, padding_mode="border", align_corners=False)
    return enlarged if mode == "bilinear" else enlarged.clamp_(0, 255)  # cubic curves overshoot at edges


def _reflect(position: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Mirror positions that are at most length - 1 outside of 0 ... length - 1 back into it."""
    mirrored: NDArray[np.int64] = length - 1 - np.abs(length - 1 - np.abs(position))
    return mirrored
