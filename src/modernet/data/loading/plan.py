"""Which images are in which batch, and which process takes which part of it.

A batch is what one step of the optimiser sees, over all processes. It is cut into parts, part p having the images
`batch[p::parts]`. Everything random about a part is a function of (seed, epoch, step, part), so that a step shows
the same images, bit for bit, whether one process takes its parts in turn or several share them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.chance import Stream, generator
from modernet.errors import InputError

SHARDS_OPEN = 8  # shards that a training epoch mixes at a time

Positions = NDArray[np.int64]


class Part(NamedTuple):
    """One part of one batch.

    Attributes:
        positions: int64 (b,), its images, in the split.
        epoch, step, part: where its random numbers come from; all counted from 0.
        counts: False for a part that only keeps a process in step with the others.
    """

    positions: Positions
    epoch: int
    step: int
    part: int
    counts: bool = True


class Plan:
    """The batches of every epoch, of which one process serves its parts.

    Args:
        sizes: images in each batch of an epoch.
        parts: into how many a batch is cut.
        rank, world: this process serves the parts rank, rank + world, ...
    """

    def __init__(self, sizes: list[int], parts: int, rank: int, world: int) -> None:
        assert parts % world == 0
        assert 0 <= rank < world
        self.sizes, self.samples = sizes, sum(sizes)
        self.parts, self.rank, self.world = parts, rank, world

    def order(self, epoch: int) -> Positions:
        """The images of an epoch, one batch after the other: int64 (samples,)."""
        return np.arange(self.samples)

    def epoch(self, epoch: int, first_step: int = 0) -> Iterator[Part]:
        """This process's parts of an epoch from `first_step` on, in order."""
        order = self.order(epoch)
        start = sum(self.sizes[:first_step])
        for step, size in enumerate(self.sizes[first_step:], first_step):
            batch = order[start : start + size]
            start += size
            for part in range(self.rank, self.parts, self.world):
                positions = batch[part :: self.parts]
                empty = not len(positions)  # more processes than images, which happens in evaluation only
                yield Part(batch[:1] if empty else positions, epoch, step, part, counts=not empty)


class EvaluationPlan(Plan):
    """Every image once and in order; a batch has one part for each process, and the last batch may be short."""

    def __init__(self, n: int, batch_size: int, rank: int = 0, world: int = 1) -> None:
        sizes = [min(batch_size, n - start) for start in range(0, n, batch_size)]
        super().__init__(sizes, world, rank, world)


class TrainingPlan(Plan):
    """Shuffled anew for every epoch.

    Every place of an epoch is used: all batches are full but the last two, which share what is left evenly. So no
    batch is smaller than half of the others, and batch norms never see the two images that happened to be left.

    With `repeats`, an epoch has as many places as the split has images, which go to the first n / repeats images of
    its order, `repeats` next to each other for each (Hoffer et al. 2019). Copies of an image are thus in different
    parts of a batch. With a part for each process these are the images of DeiT's RASampler and timm's
    RepeatAugSampler, but for the order, which is ours, and the last n % 256 places, which those leave out.

    Args:
        n: images in the split.
        batch_size: places in a batch; all are one batch where there are fewer.
        seed: of the order.
        parts, rank, world: as in `Plan`.
        repeats: copies of an image in an epoch.
        shards: int64 (n,), the shard that each image lies in. Shards are then shuffled as a whole, and images only
            among `SHARDS_OPEN` neighbours, so that few have to be at hand at a time.

    Raises:
        InputError: a batch has fewer images than parts.
    """

    def __init__(
        self,
        n: int,
        batch_size: int,
        seed: int,
        parts: int = 1,
        rank: int = 0,
        world: int = 1,
        repeats: int = 1,
        shards: Positions | None = None,
    ) -> None:
        super().__init__(_even_sizes(n, batch_size), parts, rank, world)
        self.seed, self.repeats = seed, repeats
        self.shards = None if shards is None else np.unique(shards, return_inverse=True)[1]  # counted from 0
        if min(self.sizes) < parts:
            raise InputError(
                f"the smallest batch of an epoch has {min(self.sizes)} of {n} images, too few for {parts} parts; "
                "give a larger batch_size, or fewer processes, or a larger device_batch"
            )

    def order(self, epoch: int) -> Positions:
        rng = generator(self.seed, Stream.ORDER, epoch)
        shuffled = rng.permutation(self.samples) if self.shards is None else _near(self.shards, rng)
        return np.repeat(shuffled, self.repeats)[: self.samples] if self.repeats > 1 else shuffled


def _even_sizes(n: int, batch_size: int) -> list[int]:
    """Full batches, and at the end two that share what is left."""
    if n <= batch_size:
        return [n]
    full = -(-n // batch_size) - 2
    left = n - full * batch_size
    return [batch_size] * full + [left - left // 2, left // 2]


def _near(shards: Positions, rng: np.random.Generator) -> Positions:
    """All positions, shuffled among a few shards at a time."""
    window = rng.permutation(shards.max() + 1)[shards] // SHARDS_OPEN
    shuffled = rng.permutation(len(shards))
    return shuffled[np.argsort(window[shuffled], kind="stable")]
