"""Micro-batches that worker processes read ahead, in memory that they share with this process.

Each micro-batch has its place in a ring of buffers that is allocated once: pixels are written where they are used. The
workers stay from one epoch to the next.
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

from modernet.data.images.decoding import UnreadableImage, skippable
from modernet.data.loading.plan import MicroBatch
from modernet.data.loading.reader import Reader
from modernet.errors import InputError

_READ_AHEAD = 2  # micro-batches for each worker
_SHARED_MEMORY = Path("/dev/shm")


class ReadAhead:
    """The pixels and targets of micro-batches, in order.

    Args:
        reader: reads one micro-batch.
        most: images in the largest micro-batch.
        workers: processes that read; 0 reads in this process, when a micro-batch is asked for.
    """

    def __init__(self, reader: Reader, most: int, workers: int) -> None:
        self._reader, self._most, self._workers = reader, most, workers
        self._order: list[_Slot] = []

    def __call__(self, micro_batches: list[MicroBatch]) -> Iterator[tuple[Tensor, Any]]:
        """Yield the pixels of each, uint8 (b, 3, *size), and its targets, on the CPU; pixels are valid until the next
        is asked for.

        Raises:
            InputError: an image or a target cannot be read or fetched.
        """
        slots = [_Slot(micro_batch, number % len(self._buffers)) for number, micro_batch in enumerate(micro_batches)]
        self._order[:] = slots
        for slot, targets in zip(slots, self._targets, strict=True):
            if isinstance(targets, InputError):
                raise skippable(targets) if isinstance(targets, UnreadableImage) else targets
            yield self._buffers[slot.buffer, : len(slot.micro_batch.positions)], targets

    @cached_property
    def _buffers(self) -> Tensor:
        """uint8 (k, most, 3, *size): one for the micro-batch in use, and one for each that is read meanwhile."""
        shape = (self._workers * _READ_AHEAD + 1, self._most, *self._reader.size, 3)
        if self._workers:
            _check_room(math.prod(shape))
        buffers = torch.empty(shape, dtype=torch.uint8)
        if self._workers:
            buffers.share_memory_()  # type: ignore[no-untyped-call]
        return buffers.permute(0, 1, 4, 2, 3)

    @cached_property
    def _targets(self) -> DataLoader[Any]:
        """The targets of each slot of `_order` once it is read, or what went wrong with it."""
        return DataLoader(
            _IntoBuffers(self._reader, self._buffers),
            batch_size=None,  # a key stands for a whole micro-batch
            sampler=self._order,
            num_workers=self._workers,
            prefetch_factor=_READ_AHEAD if self._workers else None,
            persistent_workers=self._workers > 0,
            generator=torch.Generator(),  # its own, for the seeds of workers; without one it draws from the global one
        )


def _check_room(needed: int) -> None:
    """Check that shared memory suffices: containers often have 64 MB, and exceeding it is a silent bus error."""
    if not _SHARED_MEMORY.is_dir():
        return
    free = shutil.disk_usage(_SHARED_MEMORY).free
    if needed > free:
        raise InputError(
            f"reading ahead needs {needed / 2**20:.0f} MB of shared memory, and {_SHARED_MEMORY} has "
            f"{free / 2**20:.0f} MB; give the container more (--shm-size), or fewer --loading-workers (0 needs none)"
        )


class _Slot(NamedTuple):
    """A micro-batch, and the buffer that it is read into."""

    micro_batch: MicroBatch
    buffer: int


class _IntoBuffers(Dataset[Any]):
    def __init__(self, reader: Reader, buffers: Tensor) -> None:
        self._reader, self._buffers = reader, buffers

    def __getitem__(self, slot: _Slot) -> Any:
        return self._reader.read(slot.micro_batch, self._buffers[slot.buffer])
