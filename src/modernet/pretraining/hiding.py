"""Batches of images with hidden cells, the same in every run and for any number of processes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from modernet.data import Loader
from modernet.data.chance import Stream, generator
from modernet.errors import InputError
from modernet.preparation import Size
from modernet.pretraining.masked import random_cells


class MaskedBatch(NamedTuple):
    """A micro-batch of images of which cells are hidden.

    Attributes:
        images: as of `Batch`.
        hidden: bool (b, cells), row by row, on the device.
        positions, counted: as of `Batch`.
    """

    images: Tensor
    hidden: Tensor
    positions: Tensor
    counted: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What the network is called with."""
        return self.images, self.hidden


class MaskingLoader:
    """The batches of a loader, with cells hidden at random: those of an image are a function of the seed, the epoch and
    its position alone.

    Args:
        loader: of the images.
        cell: side in pixels of a cell.
        share: of the cells, to be hidden.
        seed: of what is hidden.
    """

    def __init__(self, loader: Loader, cell: int, share: float, seed: int) -> None:
        self.steps_per_epoch, self.samples_per_epoch = loader.steps_per_epoch, loader.samples_per_epoch
        self.micro_batches_per_step = loader.micro_batches_per_step
        self._loader, self._cell, self._share, self._seed = loader, cell, share, seed

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[MaskedBatch]:
        """As `Loader.batches`.

        Raises:
            InputError: as `count_cells`.
        """
        for batch in self._loader.batches(epoch, first_step):
            height, width = batch.images.shape[-2:]
            cells = count_cells((height, width), self._cell, self._share)
            hidden = hidden_cells(batch.positions.tolist(), cells, self._share, self._seed, epoch)
            yield MaskedBatch(batch.images, hidden.to(batch.images.device), batch.positions, batch.counted)


def hidden_cells(positions: Sequence[int], cells: int, share: float, seed: int, epoch: int = 0) -> Tensor:
    """Return which cells of some images are hidden, bool (b, cells), on the CPU.

    Args:
        positions: of the images in their split.
    """
    noise = [generator(seed, Stream.HIDDEN, epoch, position).random(cells) for position in positions]
    return random_cells(torch.from_numpy(np.stack(noise)), share)


def count_cells(size: Size, cell: int, share: float, option: str = "--image-size") -> int:
    """Return the number of cells of an image.

    Args:
        option: what sets the size, for people.

    Raises:
        InputError: the image cannot be divided into cells, or all or none of them would be hidden.
    """
    height, width = size
    if height % cell or width % cell:
        raise InputError(
            f"images of {height}x{width} cannot be divided into cells of {cell} pixels; give {option} "
            f"{_fitting(size, cell, share)}"
        )
    cells = (height // cell) * (width // cell)
    hidden = _count_hidden(cells, share)
    if not 0 < hidden < cells:
        raise InputError(
            f"a mask_ratio of {share:g} would hide {hidden} of the {cells} cells of {cell} pixels of an image; give "
            f"larger images ({option} {_fitting(size, cell, share)}), smaller cells (--model-fields patch_size=... "
            "of a ViT, stem_stride=2 of a ConvNeXt), or another --mask-ratio"
        )
    return cells


def _count_hidden(cells: int, share: float) -> int:
    return int(random_cells(torch.zeros(1, cells), share).sum())


def _fitting(size: Size, cell: int, share: float) -> int:
    """Return the side of a square of whole cells, about as large as an image, of which some are hidden and some not."""
    side = max(round(min(size) / cell), 1)
    while not 0 < _count_hidden(side**2, share) < side**2:
        side += 1
    return side * cell
