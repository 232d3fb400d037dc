"""Splits of point clouds -> batches on the device, the same in every run.

Which points of a cloud are shown in training and how it is moved are a function of (seed, epoch, position in the
split): any number of processes, and a run that is resumed, see the same clouds.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.chance import Stream, generator
from modernet.data.loading.plan import EvaluationPlan, MicroBatch, Place, Plan, TrainingPlan
from modernet.data.points.dataset import PointBatch, PointSplit
from modernet.data.points.inputs import PointInputs
from modernet.data.points.moving import drawn_moves, prepared
from modernet.data.points.sources.clouds import shuffled_once
from modernet.errors import InputError
from modernet.recipes.points import PointAugmentation


def point_loader(
    split: PointSplit,
    inputs: PointInputs,
    *,
    batch_size: int,
    device: torch.device,
    seed: int = 0,
    place: Place = Place(),  # noqa: B008 - frozen
    train: bool,
    augmentation: PointAugmentation | None = None,
    up: int = 2,
) -> PointLoader:
    """Serve a split in batches.

    Args:
        split: not empty.
        inputs: what a network sees: the first channels of a cloud, and some of its points.
        batch_size: clouds in a batch, over all processes, at least 1.
        device: where the batches are wanted.
        seed: of the order and of all that is drawn.
        place: which micro-batches this process serves, as in `modernet.data.sequences.loading`.
        train: every cloud once an epoch in a new order, with points chosen by chance, moved. If not, every cloud once
            and in order, with its first points, as they are.
        augmentation: how clouds are moved in training; None leaves them.
        up: the axis that points up.

    Raises:
        InputError: batch_size is below 1, a batch has fewer clouds than micro-batches, or points have too few channels.
    """
    assert len(split) > 0, "open_points returns no empty split"
    channels = split.clouds.values.shape[1]
    if channels < inputs.channels:
        raise InputError(
            f"the clouds have {channels} numbers a point, and the network takes {inputs.channels}; give others"
        )
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; give 1 or more")
    plan = TrainingPlan(len(split), batch_size, seed, place) if train else EvaluationPlan(len(split), batch_size, place)
    return PointLoader(split, inputs, plan, device, seed if train else None, augmentation if train else None, up)


class PointLoader:
    """Batches of clouds, epoch after epoch, as one process sees them; a `modernet.data.Loader` of `PointBatch`.

    Attributes:
        steps_per_epoch: batches in an epoch.
        samples_per_epoch: clouds in an epoch, over all processes.
        micro_batches_per_step: how many `PointBatch`es `batches` yields for each step.
    """

    def __init__(
        self,
        split: PointSplit,
        inputs: PointInputs,
        plan: Plan,
        device: torch.device,
        seed: int | None,
        augmentation: PointAugmentation | None,
        up: int,
    ) -> None:
        self.steps_per_epoch, self.samples_per_epoch = len(plan.sizes), plan.samples
        self.micro_batches_per_step = plan.place.micro_batches // plan.place.world
        self._split, self._inputs, self._plan, self._device = split, inputs, plan, device
        self._seed, self._augmentation, self._up = seed, augmentation, up

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[PointBatch]:
        """Yield this process's micro-batches of an epoch, in order, from `first_step` on: what an uninterrupted epoch
        would have given from there.
        """
        for micro_batch in self._plan.epoch(epoch, first_step):
            yield self._batch(micro_batch)

    def _batch(self, micro_batch: MicroBatch) -> PointBatch:
        split, inputs, positions = self._split, self._inputs, micro_batch.positions
        starts, lengths = split.clouds.offsets[positions], split.clouds.lengths[positions]
        moves = None
        if self._seed is None:
            chosen = np.arange(inputs.points) % lengths[:, None]
        else:
            rngs = [generator(self._seed, Stream.POINTS, micro_batch.epoch, index) for index in positions.tolist()]
            chosen = np.stack(
                [_chosen(rng, length, inputs.points) for rng, length in zip(rngs, lengths.tolist(), strict=True)]
            )
            if self._augmentation is not None:
                moves = drawn_moves(rngs, inputs.points, self._augmentation, self._up)
        rows = starts[:, None] + chosen  # b, n
        points = self._put(split.clouds.values[rows, : inputs.channels])
        labels = self._put(split.labels[positions])
        targets = labels if split.point_labels is None else self._put(split.point_labels[rows])
        return PointBatch(
            prepared(points, inputs, moves),
            targets,
            labels if inputs.categories else torch.zeros_like(labels),
            torch.from_numpy(positions),
            len(positions) if micro_batch.counts else 0,
        )

    def _put(self, values: NDArray[np.float32] | NDArray[np.int64]) -> Tensor:
        tensor = torch.from_numpy(values)
        if self._device.type != "cuda":
            return tensor.to(self._device)
        return tensor.pin_memory().to(self._device, non_blocking=True)  # overlaps with what the device computes


def _chosen(rng: np.random.Generator, length: int, n: int) -> NDArray[np.int64]:
    """Return n of the points of a cloud in random order; each as often as any other, or once more."""
    if length >= n:
        return rng.choice(length, n, replace=False)
    rounds = [rng.permutation(length) for _ in range(-(-n // length))]
    return np.concatenate(rounds)[:n]


def parts_of_cloud(cloud: NDArray[np.float32], inputs: PointInputs) -> tuple[Tensor, NDArray[np.int64]]:
    """Show all points of a cloud, in as many parts as it takes, each of them spread over the whole of it.

    Args:
        cloud: float32 (m, channels) or more of them, as `read_cloud` returns its points.

    Returns:
        The parts as a network sees them, float32 (b, points, channels), on the CPU; and int64 (b, points), which of
        the m points they are. Each occurs, some more than once.
    """
    order = shuffled_once(len(cloud))
    rows = np.resize(order, (-(-len(order) // inputs.points), inputs.points))
    return prepared(torch.from_numpy(cloud[rows, : inputs.channels]), inputs), rows
