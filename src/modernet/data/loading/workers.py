"""Parts of batches that worker processes read ahead, in memory that they share with this one.

Each part has its place in a ring of buffers that is made once: pixels are written where they are used, and no memory is
asked for on the way. The workers stay from one epoch to the next.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from modernet.data.images.decode import UnreadableImage, skippable
from modernet.data.loading.plan import Part
from modernet.data.loading.reading import PartReader
from modernet.errors import InputError

_READ_AHEAD = 2  # parts for each worker
_SHARED_MEMORY = Path("/dev/shm")


class ReadAhead:
    """The pixels and targets of parts, in order.

    Args:
        reader: reads one part.
        most: images in the largest part.
        workers: processes that read; 0 is this one, when a part is asked for.
    """

    def __init__(self, reader: PartReader, most: int, workers: int) -> None:
        self._reader, self._most, self._workers = reader, most, workers
        self._order: list[_Place] = []

    def __call__(self, parts: list[Part]) -> Iterator[tuple[Tensor, Any]]:
        """Yield the pixels of each part, uint8 (b, 3, *size), and its targets, on the CPU; pixels are valid until the
        next part is asked for.

        Raises:
            InputError: an image cannot be read or fetched.
        """
        places = [_Place(part, number % len(self._buffers)) for number, part in enumerate(parts)]
        self._order[:] = places
        for place, read in zip(places, self._read, strict=True):
            if isinstance(read, InputError):
                raise skippable(read) if isinstance(read, UnreadableImage) else read
            yield self._buffers[place.buffer, : len(place.part.positions)], read

    @cached_property
    def _buffers(self) -> Tensor:
        """uint8 (k, most, 3, *size): one for the part in use, and one for each that is read meanwhile."""
        shape = (self._workers * _READ_AHEAD + 1, self._most, *self._reader.size, 3)
        if self._workers:
            _check_room(math.prod(shape))
        buffers = torch.empty(shape, dtype=torch.uint8)
        if self._workers:
            buffers.share_memory_()  # type: ignore[no-untyped-call]
        return buffers.permute(0, 1, 4, 2, 3)

    @cached_property
    def _read(self) -> DataLoader[Any]:
        """The targets of each part of `_order`, once it is read, or what went wrong with it."""
        return DataLoader(
            _IntoBuffers(self._reader, self._buffers),
            batch_size=None,  # a key stands for a whole part
            sampler=self._order,
            num_workers=self._workers,
            prefetch_factor=_READ_AHEAD if self._workers else None,
            persistent_workers=self._workers > 0,
            generator=torch.Generator(),  # its own, for the seeds of workers; without one it draws from the global one
        )


def _check_room(needed: int) -> None:
    """Containers often have 64 MB of shared memory, and to use more ends in a bus error without a word."""
    if not _SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if needed > free:
        raise InputError(
            f"reading ahead needs {needed / 2**20:.0f} MB of shared memory, and {_SHARED_MEMORY} has "
            f"{free / 2**20:.0f} MB; give the container more (--shm-size), or fewer --loading-workers (0 needs none)"
        )


class _Place(NamedTuple):
    """A part, and the buffer that it is read into."""

    part: Part
    buffer: int


class _IntoBuffers(Dataset[Any]):
    def __init__(self, reader: PartReader, buffers: Tensor) -> None:
        self._reader, self._buffers = reader, buffers

    def __getitem__(self, place: _Place) -> Any:
        return self._reader.read(place.part, self._buffers[place.buffer])
