"""Augmentation of whole batches on their device.

What is random is drawn on the CPU, from a generator that the caller seeds, as a few numbers an image; the pixels are
then moved in one operation for the batch. So a batch is augmented in the same way on every device, except for the
noise of `erasing`, which is drawn where it is needed. What moves pixels is a value, `Moves`, that moves targets too.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.images.views import Box, Interpolation, Size, View, central_view
from modernet.recipes import Augmentation

_CROP_RATIOS = (3 / 4, 4 / 3)  # Szegedy et al. 2014, as everywhere since
_ERASING_AREAS, _ERASING_RATIOS = (0.02, 1 / 3), (0.3, 1 / 0.3)  # Zhong et al. 2017, section 4, as in timm
_TRIES = 10

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

    def take(self, indices: Ints) -> Moves:
        """Return the moves of some images of the batch, in this order; an image may be taken several times."""
        crops = None if self.crops is None else self.crops[indices]
        return Moves(self.size, self.down[indices], self.right[indices], self.flipped[indices], crops)

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

    def map_boxes(self, boxes_xyxy: Tensor) -> Tensor:
        """Move one box for each image, cut off at the border; reflections have no box.

        Args:
            boxes_xyxy: float32 (b, 4), in pixels of the images.

        Returns:
            float32 (b, 4), in pixels of the moved images; without area for a box that left its image.
        """
        (h, w), device = self.size, boxes_xyxy.device
        right, down, flipped = (torch.from_numpy(values).to(device) for values in (self.right, self.down, self.flipped))
        x, y = boxes_xyxy[:, 0::2] + right[:, None], boxes_xyxy[:, 1::2] + down[:, None]  # b 2 each
        x = torch.where(flipped[:, None], (w - x).flip(1), x)
        if self.crops is not None:
            top, left, height, width = torch.from_numpy(self.crops).float().to(device)[:, :, None].unbind(1)  # b 1 each
            x, y = (x - left * w) / width, (y - top * h) / height
        return torch.stack((x.clamp(0, w), y.clamp(0, h)), 2).flatten(1)

    def map_semantic(self, semantic: Tensor) -> Tensor:
        """Move semantic maps, integers (b, h, w), each pixel taking the nearest one's class, also in reflections."""
        (h, w), (rows, columns) = self.size, self._origins()
        return _gather(semantic, _reflect(rows, h), _reflect(columns, w))

    def map_mask(self, masks: Tensor) -> Tensor:
        """Move one mask for each image, bool (b, h, w); reflections are no part of an instance."""
        (h, w), (rows, columns) = self.size, self._origins()
        inside = ((rows >= 0) & (rows < h))[:, :, None] & ((columns >= 0) & (columns < w))[:, None]
        return _gather(masks, rows.clip(0, h - 1), columns.clip(0, w - 1)) & torch.from_numpy(inside).to(masks.device)

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


def erase(images: Tensor, augmentation: Augmentation, rng: np.random.Generator) -> Tensor:
    """Erase and cut out, in place, whichever of them is on.

    Args:
        images: float32 (b, 3, h, w), normalised: noise has mean 0 and deviation 1, and blank is the mean colour.
    """
    b, (h, w) = len(images), images.shape[-2:]
    if augmentation.erasing > 0:
        chosen = np.flatnonzero(rng.random(b) < augmentation.erasing)
        top, left, height, width = erasing_rectangles(len(chosen), (h, w), rng).T
        noise_source = torch.Generator(images.device).manual_seed(int(rng.integers(2**62)))
        where = torch.from_numpy(chosen).to(images.device)
        part = images[where]
        noise = torch.empty_like(part).normal_(generator=noise_source)
        images[where] = torch.where(inside(top, left, height, width, (h, w), images.device), noise, part)
    square = round(augmentation.cutout * min(h, w))
    if square > 0:
        # anywhere, so that the square may hang over the border, as in the paper
        top, left = (rng.integers(0, side, b) - square // 2 for side in (h, w))
        extent = np.full(b, square)
        images.masked_fill_(inside(top, left, extent, extent, (h, w), images.device), 0.0)
    return images


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
    enlarged = F.grid_sample(images.float(), grid, mode=interpolation, padding_mode="border", align_corners=False)
    return enlarged if interpolation == "bilinear" else enlarged.clamp_(0, 255)  # cubic curves overshoot at edges


def random_crops(n: int, smallest_area: float, rng: np.random.Generator) -> Floats:
    """Boxes of a random resized crop (Szegedy et al. 2014) of images that have the shape of the result, not bound to
    whole pixels.

    Returns:
        (n, 4), top, left, height and width as shares of the image.
    """
    height, width = _tries(n, (smallest_area, 1.0), _CROP_RATIOS, rng)
    fits = (height <= 1) & (width <= 1)
    fits[:, -1] = True  # where none fits, the last is cut to fit
    first = np.arange(n), fits.argmax(1)
    extent = np.minimum(np.stack((height[first], width[first]), 1), 1)
    corner = rng.random((n, 2)) * (1 - extent)
    return np.concatenate((corner, extent), 1)


def random_view(h: int, w: int, size: Size, augmentation: Augmentation, rng: np.random.Generator) -> View:
    """Draw the view of an image of any shape: a random resized crop, or else the centre, mirrored or not."""
    view = central_view(h, w, size)
    if augmentation.crop_scale < 1:
        view = View(random_box(h, w, augmentation.crop_scale, rng, size[1] / size[0]), size)
    return replace(view, flipped=rng.random() < augmentation.flip)


def random_box(h: int, w: int, smallest_area: float, rng: np.random.Generator, shape: float = 1.0) -> Box:
    """Draw the box of a random resized crop, in whole pixels of an image of any shape, as torchvision and timm do.

    Area uniform; width over height, relative to `shape`, log-uniform from 3:4 to 4:3; place uniform; the first of ten
    draws that fits. Where none does, the largest box in the centre that has such a shape.

    Args:
        shape: width over height of what the box is scaled to.
    """
    *tries, down, right = rng.random(2 * _TRIES + 2).tolist()  # plain numbers: for one image, arrays are slower
    low, high = (math.log(ratio) for ratio in _CROP_RATIOS)
    for share, slant in zip(tries[::2], tries[1::2], strict=True):
        area, ratio = (
            h * w * (smallest_area + (1 - smallest_area) * share),
            shape * math.exp(low + (high - low) * slant),
        )
        height, width = round(math.sqrt(area / ratio)), round(math.sqrt(area * ratio))
        if 0 < height <= h and 0 < width <= w:
            return Box(int(down * (h - height + 1)), int(right * (w - width + 1)), height, width)
    narrow, wide = (shape * ratio for ratio in _CROP_RATIOS)
    height, width = min(h, max(round(w / narrow), 1)), min(w, max(round(h * wide), 1))
    return Box((h - height) // 2, (w - width) // 2, height, width)


def erasing_rectangles(n: int, size: Size, rng: np.random.Generator) -> Ints:
    """Draw rectangles of random erasing as timm does: area uniform from 2 to 33 %, shape log-uniform from 3:10 to 10:3,
    place uniform; the first of ten draws that fits.

    Args:
        size: height and width of the images.

    Returns:
        (n, 4), top, left, height and width in pixels; height and width are 0 where none fits.
    """
    h, w = size
    height, width = (np.rint(sides) for sides in _tries(n, _ERASING_AREAS, _ERASING_RATIOS, rng, h * w))
    fits: NDArray[np.bool_] = (height < h) & (width < w)
    first = np.arange(n), fits.argmax(1)
    extent = np.stack((height[first], width[first]), 1) * fits.any(1, keepdims=True)
    corner = rng.integers(0, np.array(size) - extent.astype(np.int64) + 1)
    return np.concatenate((corner, extent.astype(np.int64)), 1)


def _tries(
    n: int, areas: tuple[float, float], ratios: tuple[float, float], rng: np.random.Generator, whole: float = 1.0
) -> tuple[Floats, Floats]:
    """Heights and widths (n, 10) whose area, as a share of `whole`, is uniform, and width over height log-uniform."""
    area = rng.uniform(*areas, (n, _TRIES)) * whole
    ratio = np.exp(rng.uniform(math.log(ratios[0]), math.log(ratios[1]), (n, _TRIES)))
    return np.sqrt(area / ratio), np.sqrt(area * ratio)


def inside(
    top: NDArray[np.generic],
    left: NDArray[np.generic],
    height: NDArray[np.generic],
    width: NDArray[np.generic],
    size: Size,
    device: torch.device,
) -> Tensor:
    """Mark the pixels of images of a size that lie in a rectangle each; what hangs over the border is cut off.

    Args:
        top, left, height, width: (b,) in pixels.

    Returns:
        bool (b, 1, h, w)
    """
    corners = np.stack((top, left, height, width), 1).astype(np.int64)
    y0, x0, h, w = torch.from_numpy(corners).to(device)[:, :, None].unbind(1)  # b 1 each
    row, column = (torch.arange(side, device=device) for side in size)
    rows = (row >= y0) & (row < y0 + h)
    columns = (column >= x0) & (column < x0 + w)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def _reflect(position: NDArray[np.int64], length: int) -> NDArray[np.int64]:
    """Positions at most length - 1 outside of 0 ... length - 1, mirrored back into it."""
    mirrored: NDArray[np.int64] = length - 1 - np.abs(length - 1 - np.abs(position))
    return mirrored
