"""Examples -> splits: decoded once where they fit in memory, checked where they are left on disk."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data.dataset import InMemory, OnDisk
from modernet.data.images.decode import UnreadableImage, skippable
from modernet.data.images.views import Box, View, central_view
from modernet.data.sources.examples import Examples
from modernet.data.targets import NoTargets
from modernet.machine.cores import decoding_workers
from modernet.preparation import Interpolation, Size
from modernet.progress import track

_CHUNK = 64  # images a thread takes at a time
_MOST_THREADS = 16
_SURVEYED = 1000
_MEASURED = 2000
_DEFAULT_SIZE = 224
_LARGEST_OWN_SIZE = 256
_STRIDE = 32  # of the usual network's last stage

Failures = dict[int, UnreadableImage]
Positions = NDArray[np.int64]


def decode(
    examples: Examples, size: Size, task: str, interpolation: Interpolation = "bilinear"
) -> tuple[InMemory, Failures]:
    """Decode the centre of every image, scaled to `size`, and map the targets.

    Returns:
        The split, and what could not be read, by position; such an image is black in the split.
    """
    images = torch.zeros((len(examples), *size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
    views = [View(Box(0, 0, *size), size)] * len(examples)
    choose = partial(central_view, size=size)

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
    shards = None if examples.shards is None else torch.from_numpy(examples.shards)
    return OnDisk(examples.images, torch.from_numpy(examples.indices), examples.targets, shards)


def usual_size(examples: Examples) -> int:
    """The size that suits most of a fixed sample of 1,000 images.

    Images that are all squares of one size up to 256 keep it. Others get 224, or, where the median of their shorter
    sides is smaller, the multiple of 32 below it, at least 32.
    """
    sizes = _sizes(examples)
    if not sizes:
        return _DEFAULT_SIZE
    h, w = sizes[0]
    if h == w <= _LARGEST_OWN_SIZE and set(sizes) == {(h, w)}:
        return h
    median = int(np.median([min(size) for size in sizes]))
    return min(max(median // _STRIDE, 1) * _STRIDE, _DEFAULT_SIZE)


def have_size(examples: Examples, size: Size) -> bool:
    """Whether the same sample has this size already."""
    return set(_sizes(examples)) == {size}


def _sizes(examples: Examples) -> list[tuple[int, int]]:
    """Height and width of a fixed sample of 1,000 images."""
    sizes = []
    for position in evenly(len(examples), _SURVEYED):
        try:
            sizes.append(examples.images.size(int(examples.indices[position])))
        except UnreadableImage:
            continue  # reported when it is decoded
    return sizes


def measure(
    split: InMemory | OnDisk, size: Size, interpolation: Interpolation = "bilinear"
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel, for images in [0, 1], over a fixed sample of 2,000.

    Raises:
        InputError: an image of the sample cannot be read.
    """
    positions = evenly(len(split), _MEASURED)
    if isinstance(split, OnDisk):
        sample = Examples(split.images, split.indices.numpy()[positions], NoTargets(len(positions)))
        split, failures = decode(sample, size, "measuring colours", interpolation)
        for failure in failures.values():
            raise skippable(failure)
        positions = np.arange(len(split))
    # sums of bytes are exact in float64, so the order of addition does not matter
    pixels = split.images[torch.from_numpy(positions)].permute(1, 0, 2, 3).flatten(1)
    counts = torch.stack([channel.bincount(minlength=256) for channel in pixels]).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    mean = counts @ values / counts.sum(1)
    variance = counts @ values.square() / counts.sum(1) - mean.square()
    std = variance.clamp(min=(1 / 255) ** 2).sqrt()  # images of one colour must not be divided by 0
    return tuple(mean.tolist()), tuple(std.tolist())


def evenly(n: int, most: int) -> Positions:
    """At most `most` of n positions, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))


def read_all(examples: Examples, read: Callable[[int, int], object], task: str) -> Failures:
    """Read every image, in threads: the decoders release the interpreter.

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
