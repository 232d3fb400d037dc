"""Whole images of a split with their targets, at their own size, for networks that take any size."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from modernet.data.dataset import InMemory, OnDisk, Split
from modernet.data.images.views import IGNORE, Box, View
from modernet.data.targets import SemanticTargets
from modernet.machine.cores import decoding_workers

Read = TypeVar("Read")
_MOST_THREADS = 8
_AHEAD = 16  # images


class WholeImages(NamedTuple):
    """Images of one size with their label maps.

    Attributes:
        images_u8: uint8 (b, 3, h, w)
        maps: integers (b, h, w), `IGNORE` where the class is unknown.
        positions: of the images in the split; -1 where one only keeps a process in step with the others, and does not
            count.
    """

    images_u8: Tensor
    maps: Tensor
    positions: list[int]


def whole_images(
    split: Split, batch_size: int, most_pixels: int, *, rank: int = 0, world: int = 1
) -> Iterator[WholeImages]:
    """Yield the images of a split with semantic targets, in order, as they are stored; neighbours of one size together.

    Every process gets as many batches, since a network whose weights are shared among them needs all at each. Of images
    on disk, whose sizes differ, several processes therefore get one at a time.

    Args:
        batch_size: most images in a batch.
        most_pixels: most pixels in a batch of more than one image.
        rank, world: of `world` processes, the one with number `rank` gets every `world`-th image.

    Raises:
        UnreadableImage: an image or a map cannot be read.
    """
    most = batch_size if world == 1 or isinstance(split, InMemory) else 1
    batch: list[WholeImages] = []
    for one in _ahead(_read, split, range(rank, world * math.ceil(len(split) / world), world)):
        full = len(batch) == most or (len(batch) + 1) * one.maps.numel() > most_pixels
        if batch and (full or batch[0].maps.shape != one.maps.shape):
            yield _together(batch)
            batch = []
        batch.append(one)
    yield _together(batch)


def _together(batch: list[WholeImages]) -> WholeImages:
    images, maps, positions = zip(*batch, strict=True)
    return WholeImages(torch.cat(images), torch.cat(maps), [each for part in positions for each in part])


def each_image(split: Split, *, rank: int = 0, world: int = 1) -> Iterator[tuple[int, Tensor]]:
    """Yield position and pixels of the images of a split, in order, as they are stored: uint8 (3, h, w).

    Every process gets as many; a position beyond the split stands for an image that only keeps a process in step.

    Args:
        rank, world: of `world` processes, the one with number `rank` gets every `world`-th image.

    Raises:
        UnreadableImage: an image cannot be read.
    """
    positions = range(rank, world * math.ceil(len(split) / world), world)
    yield from zip(positions, _ahead(stored_image, split, positions), strict=True)


def stored_image(split: Split, position: int) -> Tensor:
    """Return the pixels of an image of a split as they are stored, uint8 (3, h, w); beyond the end, of the last one."""
    position = min(position, len(split) - 1)
    if isinstance(split, InMemory):
        return split.images[position]
    assert isinstance(split, OnDisk)
    return split.images.read(int(split.indices[position]))


def _ahead(read: Callable[[Split, int], Read], split: Split, positions: range) -> Iterator[Read]:
    """Yield what is read of each position, while the next ones are read by threads."""
    waiting: deque[Future[Read]] = deque()
    with ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads:
        for position in positions:
            if len(waiting) == _AHEAD:
                yield waiting.popleft().result()
            waiting.append(threads.submit(read, split, position))
        while waiting:
            yield waiting.popleft().result()


def _read(split: Split, position: int) -> WholeImages:
    if position >= len(split):  # something to do for this process, that does not count
        images, maps, _ = _read(split, len(split) - 1)
        return WholeImages(images, torch.full_like(maps, IGNORE), [-1])
    targets = split.targets.take(np.array([position]))
    assert isinstance(targets, SemanticTargets)
    if isinstance(split, InMemory):
        return WholeImages(split.images[position : position + 1], targets.collate(), [position])
    image = stored_image(split, position)
    h, w = image.shape[-2:]
    return WholeImages(image[None], targets.show([View(Box(0, 0, h, w), (h, w))]).collate(), [position])
