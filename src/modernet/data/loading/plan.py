"""Which images are in which batch, and which process takes which micro-batch of it.

A batch is what one optimizer step sees, over all processes. It is divided into micro-batches, micro-batch m having the
images `batch[m::micro_batches]`. Everything random about a micro-batch is a function of (seed, epoch, step, index), so
that a step shows the same images, bit for bit, whether one process takes its micro-batches in turn or several share
them. A batch of 8 as 4 micro-batches:

    batch                   [0 1 2 3 4 5 6 7]
    micro-batches           [0 4] [1 5] [2 6] [3 7]
    1 process,   rank 0     [0 4] [1 5] [2 6] [3 7]
    2 processes, rank 0     [0 4]       [2 6]
                 rank 1           [1 5]       [3 7]
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from modernet.data.chance import Stream, generator
from modernet.errors import InputError

SHARDS_OPEN = 8  # shards that a training epoch mixes at a time

Positions = NDArray[np.int64]


@dataclass(frozen=True)
class Place:
    """The share of a process in every batch.

    Attributes:
        micro_batches: into how many a training batch is divided, over all processes; a multiple of `world`.
        rank: index of this process, which takes micro-batches rank, rank + world, ...
        world: number of processes.
    """

    micro_batches: int = 1
    rank: int = 0
    world: int = 1

    def __post_init__(self) -> None:
        assert 0 <= self.rank < self.world
        assert self.micro_batches % self.world == 0


@dataclass(frozen=True, eq=False)
class MicroBatch:
    """One micro-batch of one batch.

    Attributes:
        positions: int64 (b,), its images, in the split.
        epoch, step, index: what its random numbers are a function of; all counted from 0.
        counts: False for one that only keeps a process in step with the others.
    """

    positions: Positions
    epoch: int
    step: int
    index: int
    counts: bool = True


class Plan:
    """The batches of every epoch, of which one process serves its micro-batches.

    Args:
        sizes: images in each batch of an epoch.
        place: which micro-batches this process serves.
    """

    def __init__(self, sizes: list[int], place: Place) -> None:
        self.sizes, self.samples, self.place = sizes, sum(sizes), place

    def order(self, epoch: int) -> Positions:
        """Return the images of an epoch, one batch after the other: int64 (samples,)."""
        return np.arange(self.samples)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[MicroBatch]:
        """Yield this process's micro-batches of an epoch from `first_step` on, in order."""
        order = self.order(epoch)
        start = sum(self.sizes[:first_step])
        for step, size in enumerate(self.sizes[first_step:], first_step):
            batch = order[start : start + size]
            start += size
            for index in range(self.place.rank, self.place.micro_batches, self.place.world):
                positions = batch[index :: self.place.micro_batches]
                empty = not len(positions)  # more processes than images, which happens in evaluation only
                yield MicroBatch(batch[:1] if empty else positions, epoch, step, index, counts=not empty)


class EvaluationPlan(Plan):
    """Every image once and in order; a batch has one micro-batch for each process, and the last batch may be short."""

    def __init__(self, n: int, batch_size: int, place: Place = Place()) -> None:
        sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
        super().__init__(sizes, Place(place.world, place.rank, place.world))


class TrainingPlan(Plan):
    """Every image once, in a new order each epoch.

    All batches are full except the last two, which share what is left evenly. So no image is dropped or shown twice, no
    batch is smaller than half of the others, and batch norms never see the two images that happened to be left.

    With `repeats`, an epoch has as many slots as the split has images, filled by the first n / repeats images of its
    order, `repeats` adjacent slots for each (Hoffer et al. 2019). Copies of an image are thus in different
    micro-batches. With one micro-batch per process these are the images of DeiT's RASampler and timm's
    RepeatAugSampler, except for the order, and the last n % 256 slots, which those leave out.

    Args:
        n: images in the split.
        batch_size: slots in a batch; all are one batch where there are fewer.
        seed: of the order.
        place: as in `Plan`.
        repeats: copies of an image in an epoch.
        shards: int64 (n,), the shard of each image. Shards are then shuffled as a whole, and images only among
            `SHARDS_OPEN` of them, so that few have to be at hand at a time.

    Raises:
        InputError: a batch has fewer images than micro-batches.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        seed: int,
        place: Place = Place(),
        *,
        repeats: int = 1,
        shards: Positions | None = None,
    ) -> None:
        super().__init__(_even_sizes(n, batch_size), place)
        self.seed, self.repeats = seed, repeats
        self.shards = None if shards is None else np.unique(shards, return_inverse=True)[1]  # counted from 0
        if min(self.sizes) < place.micro_batches:
            raise InputError(
                f"the smallest batch of an epoch has {min(self.sizes)} of {n} examples, too few for "
                f"{place.micro_batches} micro-batches; give a larger batch_size, or fewer processes, or a larger "
                "device_batch"
            )

    def order(self, epoch: int) -> Positions:
        rng = generator(self.seed, Stream.ORDER, epoch)
        shuffled = rng.permutation(self.samples) if self.shards is None else _shuffle_within_windows(self.shards, rng)
        return np.repeat(shuffled, self.repeats)[: self.samples] if self.repeats > 1 else shuffled


def _even_sizes(n: int, batch_size: int) -> list[int]:
    """Return full batches, and at the end two that share what is left."""
    if n <= batch_size:
        return [n]
    full = -(-n // batch_size) - 2
    left = n - full * batch_size
    return [batch_size] * full + [left - left // 2, left // 2]


def _shuffle_within_windows(shards: Positions, rng: np.random.Generator) -> Positions:
    """Return all positions, shuffled among a few shards at a time."""
    window = rng.permutation(shards.max() + 1)[shards] // SHARDS_OPEN
    shuffled = rng.permutation(len(shards))
    return shuffled[np.argsort(window[shuffled], kind="stable")]
