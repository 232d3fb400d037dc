"""The usual size of images, and the mean and standard deviation of their colours, from a fixed sample."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data.dataset import InMemory, OnDisk
from modernet.data.images.decoding import UnreadableImage, skippable
from modernet.data.reading import decode
from modernet.data.sources.examples import Examples
from modernet.data.targets import NoTargets
from modernet.preparation import Interpolation, Size

_SURVEYED = 1000
_MEASURED = 2000
_NEAR = 2000
_DEFAULT_SIZE = 224
_LARGEST_OWN_SIZE = 256
_MEASURED_SIDE = 224  # in pixels, of images with maps or boxes
_STRIDE = 32  # of the last stage of most networks


def usual_size(examples: Examples) -> int:
    """Return the side that suits most of a fixed sample of 1,000 images (of the first shards, see `_sample`).

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


def longest_side(examples: Examples) -> int:
    """Return the longest side of any image of the same sample; 0 if none can be read."""
    return max((max(size) for size in _sizes(examples)), default=0)


def have_size(examples: Examples, size: Size) -> bool:
    """Return whether every image of the same sample has this size already."""
    return set(_sizes(examples)) == {size}


def _sizes(examples: Examples) -> list[tuple[int, int]]:
    """Return height and width of a fixed sample of 1,000 images."""
    sizes = []
    for position in _sample(len(examples), _SURVEYED, examples.shards):
        try:
            sizes.append(examples.images.size(int(examples.indices[position])))
        except UnreadableImage:
            continue  # reported when it is decoded
    return sizes


def measure(
    split: InMemory | OnDisk, size: Size, interpolation: Interpolation = "bilinear"
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each channel, for images in [0, 1], over a fixed sample of 2,000
    (of the first shards, see `_sample`).

    Images on disk with spatial targets, which are shown much larger, are measured at 224 pixels or less.

    Raises:
        InputError: an image of the sample cannot be read.
    """
    shards = split.shards.numpy() if isinstance(split, OnDisk) and split.shards is not None else None
    positions = _sample(len(split), _MEASURED, shards)
    if isinstance(split, OnDisk):
        if split.targets.spatial:
            size = min(size[0], _MEASURED_SIDE), min(size[1], _MEASURED_SIDE)
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
    std = variance.clamp(min=(1 / 255) ** 2).sqrt()  # images of one colour would divide by 0
    return tuple(mean.tolist()), tuple(std.tolist())


def _sample(n: int, most: int, shards: NDArray[np.int64] | None) -> NDArray[np.int64]:
    """Return at most `most` of n positions, evenly spread over all; or over the first shards, as few of these as hold
    2,000 images, since shards are fetched when they are first read.
    """
    if shards is None:
        return evenly(n, most)
    near = np.flatnonzero(shards <= np.sort(shards)[:_NEAR][-1])
    return near[evenly(len(near), most)]


def evenly(n: int, most: int) -> NDArray[np.int64]:
    """Return at most `most` of n positions, evenly spread."""
    return np.unique(np.linspace(0, n - 1, min(n, most)).astype(np.int64))
