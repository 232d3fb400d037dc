"""Read every image of a split, in threads: into memory, or only to see whether it can be read."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data.dataset import InMemory, OnDisk, Split
from modernet.data.images.collection import DecodedImages
from modernet.data.images.decoding import UnreadableImage
from modernet.data.images.views import Box, View, central_view
from modernet.data.sources.examples import Examples, all_of
from modernet.machine.cores import decoding_workers
from modernet.preparation import Interpolation, Size
from modernet.progress import track

_CHUNK = 64  # images a thread takes at a time
_MOST_THREADS = 16

Failures = dict[int, UnreadableImage]
Positions = NDArray[np.int64]


def decode(
    examples: Examples, size: Size, task: str, interpolation: Interpolation = "bilinear", crop: float = 1.0
) -> tuple[InMemory, Failures]:
    """Decode the centre of every image, scaled to `size`, and map the targets.

    Args:
        crop: share of the centre that is kept, as in `central_view`.

    Returns:
        The split, and what could not be read, by position; such images are black in the split.
    """
    images = torch.zeros((len(examples), *size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    views = [View(Box(0, 0, *size), size)] * len(examples)
    choose = partial(central_view, size=size, crop=crop)

    def store(position: int, index: int) -> None:
        images[position], views[position] = examples.images.read_view(index, choose, interpolation)

    failures = read_all(examples, store, task)
    return InMemory(images, examples.targets.show(views)), failures


def check(examples: Examples, task: str) -> Failures:
    """Read every image and keep none.

    Returns:
        What cannot be read, by position.
    """
    return read_all(examples, lambda position, index: examples.images.read(index), task)


def on_disk(examples: Examples) -> OnDisk:
    """Return examples as a split, without reading any."""
    shards = None if examples.shards is None else torch.from_numpy(examples.shards)
    return OnDisk(examples.images, torch.from_numpy(examples.indices), examples.targets, shards)


def examples_of(split: Split) -> Examples:
    """Return a split as it is stored: the inverse of `on_disk`, also for one in memory."""
    if isinstance(split, InMemory):
        return all_of(DecodedImages(split.images, "the images in memory"), split.targets)
    assert isinstance(split, OnDisk)
    shards = None if split.shards is None else split.shards.numpy()
    return Examples(split.images, split.indices.numpy(), split.targets, shards)


def read_all(examples: Examples, read: Callable[[int, int], object], task: str) -> Failures:
    """Read every image, in threads, since the decoders release the GIL.

    Args:
        read: called with each position in the split and the index of its image; at any time, from any thread.

    Returns:
        The `UnreadableImage` that `read` raised, by position.
    """
    n = len(examples)
    chunks = np.array_split(np.arange(n), max(math.ceil(n / _CHUNK), 1))
    failures: Failures = {}
    with ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads:
        found = threads.map(partial(_read_chunk, examples, read), chunks)
        try:
            for failed in track(found, task, len(chunks)):
                failures.update(failed)
        finally:
            threads.shutdown(cancel_futures=True)  # or Ctrl-C would wait for every chunk
    return failures


def _read_chunk(examples: Examples, read: Callable[[int, int], object], positions: Positions) -> Failures:
    failures: Failures = {}
    for position in positions.tolist():
        try:
            read(position, int(examples.indices[position]))
        except UnreadableImage as error:
            failures[position] = error
    return failures
