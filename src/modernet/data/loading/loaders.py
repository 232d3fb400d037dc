"""Splits -> batches, on the device, the same at every run.

What is random about a part of a batch is a function of (seed, epoch, step, part) alone: a run that resumes in the
middle of an epoch, or with another number of processes, goes on with exactly the images that it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from modernet.data.chance import Stream, generator
from modernet.data.dataset import ImageDataset, InMemory, OnDisk, Split
from modernet.data.images.decode import DecodedImages
from modernet.data.images.views import Interpolation, Size, as_size, central_view
from modernet.data.loading.plan import EvaluationPlan, Part, Plan, TrainingPlan
from modernet.data.loading.reading import PartReader
from modernet.data.loading.workers import ReadAhead
from modernet.data.targets import ClassTargets, Targets, transfer
from modernet.data.transforms import on_device
from modernet.data.transforms.mixing import mix
from modernet.data.transforms.timm_augment import uses_timm_augment
from modernet.errors import InputError
from modernet.machine.cores import decoding_workers
from modernet.recipes import Augmentation, ImageSizes

_MOST_WORKERS = 8
NO_TARGET = -1


class Batch(NamedTuple):
    """One part of a batch, on the device.

    Attributes:
        images: float32 (b, 3, h, w), normalised, in channels_last layout.
        targets: what `Targets.collate` gives. Of classes, int64 (b,), or float32 (b, k) when mixed: the share of each
            class, before any label smoothing.
        positions: int64 (b,), on the CPU: where the images are in the split (before they were mixed).
        counted: how many of the images count. All do in training. In evaluation it is 0 where the only image keeps a
            process in step with the others, because a batch has fewer images than there are processes; its class is
            then `NO_TARGET`.
    """

    images: Tensor
    targets: Any
    positions: Tensor
    counted: int


class Loader(Protocol):
    """Batches, epoch after epoch, as one process sees them.

    Attributes:
        steps_per_epoch: batches in an epoch.
        samples_per_epoch: images in an epoch, over all processes.
        parts_per_step: how many `Batch`es `batches` yields for each step.
    """

    steps_per_epoch: int
    samples_per_epoch: int
    parts_per_step: int

    def samples_in_step(self, step: int) -> int:
        """Images in a step of any epoch, over all processes."""

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        """This process's parts of an epoch's batches, in order, from `first_step` on: what an uninterrupted epoch
        would have given from there. Go through one epoch at a time.
        """


def make_loader(
    dataset: ImageDataset,
    split: Split,
    *,
    batch_size: int,
    device: torch.device,
    augmentation: Augmentation | None,
    sizes: ImageSizes = ImageSizes(),  # noqa: B008 - frozen
    seed: int = 0,
    workers: int | None = None,
    parts: int = 1,
    rank: int = 0,
    world: int = 1,
) -> Loader:
    """Serve a split in batches.

    Args:
        dataset: what the split belongs to: it knows size, normalisation and classes.
        split: one of the data set's splits.
        batch_size: images in a batch, over all processes, at least 1.
        device: where the batches are wanted.
        augmentation: for training: shuffled and augmented, every image once an epoch, in full batches but for the
            last two (see `TrainingPlan`). None for evaluation: every image once, in order, nothing random, the last
            batch may be short.
        sizes: how images are shown in evaluation, and how they are scaled; the size in training is the data set's.
        seed: of everything random.
        workers: processes that decode images on disk; 0 decodes in this one, None is one for each core that is ours
            (`cores.decoding_workers`), at most 8. Images in memory need them for RandAugment and color jitter only.
        parts: into how many parts a training batch is cut, each augmented and mixed by itself; a multiple of `world`.
            A batch of evaluation has one for each process.
        rank, world: which process this is, and of how many: it serves the parts rank, rank + world, ...

    Raises:
        InputError: batch_size is below 1, a batch has fewer images than parts, or `rand_augment` is not in timm's
            notation; while batches are drawn, for an image on disk that cannot be read.
    """
    assert len(split) > 0, "open_dataset gives no empty split"
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; give 1 or more")
    size, crop = as_size(dataset.image_size), 1.0
    plan: Plan
    _check_augmentation(augmentation, split.targets)
    if augmentation is None:
        size, crop = size if sizes.test_size is None else as_size(sizes.test_size), sizes.test_crop
        plan = EvaluationPlan(len(split), batch_size, rank, world)
    else:
        shards = split.shards.numpy() if isinstance(split, OnDisk) and split.shards is not None else None
        plan = TrainingPlan(len(split), batch_size, seed, parts, rank, world, augmentation.repeats, shards)
        if isinstance(split, InMemory) and uses_timm_augment(augmentation):
            split = _one_by_one(split)
    match split:
        case InMemory():
            finish = _Finish(dataset, split.targets, augmentation, device, seed, sizes.interpolation)
            return _MemoryLoader(_scaled(split, size, crop, sizes.interpolation), plan, finish, device)
        case OnDisk():
            by_reader, by_finish = _shared_out(augmentation)
            reader = PartReader(
                split,
                size,
                sizes.interpolation,
                crop=crop,
                augmentation=by_reader,
                mean=dataset.mean,
                seed=seed,
            )
            finish = _Finish(dataset, split.targets, by_finish, device, seed, sizes.interpolation)
            count = decoding_workers(_MOST_WORKERS) if workers is None else workers
            return _DiskLoader(reader, plan, finish, device, count)
        case _:
            raise TypeError(f"a split is InMemory or OnDisk, not {type(split).__name__}")


def _check_augmentation(augmentation: Augmentation | None, targets: Targets) -> None:
    if augmentation is None:
        return
    if (augmentation.mixup or augmentation.cutmix) and not isinstance(targets, ClassTargets):
        raise InputError("mixup and cutmix need class targets; set both to 0")
    if augmentation.rand_augment and targets.spatial:
        raise InputError(
            "rand_augment would move pixels away from their targets; leave it out: color_jitter, flip, shift and "
            "crop_scale can be used"
        )


def _scaled(split: InMemory, size: Size, crop: float, interpolation: Interpolation) -> InMemory:
    """The images at another size, of which a test shows the middle."""
    if crop == 1 and size == split.images.shape[-2:]:
        return split
    h, w = split.images.shape[-2:]
    view = central_view(h, w, size, crop)
    images = torch.stack([view.show(image, interpolation) for image in split.images])
    return InMemory(images, split.targets.show([view] * len(split)))


def _one_by_one(split: InMemory) -> OnDisk:
    """Images in memory, for worker processes."""
    return OnDisk(DecodedImages(split.images, "the training split"), torch.arange(len(split)), split.targets)


def _shared_out(augmentation: Augmentation | None) -> tuple[Augmentation | None, Augmentation | None]:
    """What is done to images one by one while they are read, and what to the batch.

    A flip comes before RandAugment, and costs less while an image is read than afterwards; where nothing else is done
    to single images, it is left to the batch, so that both kinds of split give the same batches.
    """
    if augmentation is None or (augmentation.crop_scale == 1 and not uses_timm_augment(augmentation)):
        return None, augmentation
    return augmentation, replace(augmentation, flip=0.0, crop_scale=1.0)


class _Finish:
    """Pixels -> a batch: moved, normalised, erased, mixed."""

    def __init__(
        self,
        dataset: ImageDataset,
        targets: Targets,
        augmentation: Augmentation | None,
        device: torch.device,
        seed: int,
        interpolation: Interpolation,
    ) -> None:
        self.augmentation, self.seed, self.interpolation = augmentation, seed, interpolation
        self.targets, self.num_classes, self.device = targets, len(dataset.classes), device
        mean, std = (torch.tensor(values, device=device) for values in (dataset.mean, dataset.std))
        self.scale, self.offset = 1 / (255 * std), -mean / std

    def __call__(self, images_u8: Tensor, targets: Any, part: Part) -> Batch:
        positions, counted = torch.from_numpy(part.positions), len(part.positions) if part.counts else 0
        if self.augmentation is None:
            if not part.counts and isinstance(self.targets, ClassTargets):
                targets = torch.full_like(targets, NO_TARGET)
            return Batch(self._normalised(images_u8), transfer(targets, self.device), positions, counted)
        rng = generator(self.seed, Stream.BATCH, part.epoch, part.step, part.part)
        size = images_u8.shape[-2], images_u8.shape[-1]
        moves = on_device.draw_moves(len(images_u8), size, self.augmentation, rng)
        if moves is not None:
            images_u8, targets = moves.apply(images_u8, self.interpolation), self.targets.move(targets, moves)
        targets = transfer(targets, self.device)
        images = on_device.erase(self._normalised(images_u8), self.augmentation, rng)
        if isinstance(self.targets, ClassTargets):
            images, targets = mix(images, targets, self.num_classes, self.augmentation, rng)
        return Batch(images, targets, positions, counted)

    def _normalised(self, images: Tensor) -> Tensor:
        images = images.to(torch.float32, memory_format=torch.channels_last, copy=True)
        w = images.shape[-1]
        rows = images.permute(0, 2, 3, 1).flatten(2)  # b h w*3, whose long rows a CPU goes through fastest
        rows.mul_(self.scale.repeat(w)).add_(self.offset.repeat(w))
        return images


class _Planned:
    """What a loader says of its plan."""

    def __init__(self, plan: Plan) -> None:
        self.steps_per_epoch, self.samples_per_epoch = len(plan.sizes), plan.samples
        self.parts_per_step = plan.parts // plan.world
        self._plan = plan

    def samples_in_step(self, step: int) -> int:
        return self._plan.sizes[step]


class _MemoryLoader(_Planned):
    """Serves images that live on the device."""

    def __init__(self, split: InMemory, plan: Plan, finish: _Finish, device: torch.device) -> None:
        super().__init__(plan)
        self._finish, self._device = finish, device
        # n h w c, so that an image is one run of bytes
        self._pixels = split.images.to(device).permute(0, 2, 3, 1).contiguous()
        self._targets = split.targets.to(device)

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        for part in self._plan.epoch(epoch, first_step):
            chosen = torch.from_numpy(part.positions).to(self._device)
            images = self._pixels[chosen].permute(0, 3, 1, 2)
            yield self._finish(images, self._targets.take(part.positions).collate(), part)


class _DiskLoader(_Planned):
    """Serves images that workers decode."""

    def __init__(self, reader: PartReader, plan: Plan, finish: _Finish, device: torch.device, workers: int) -> None:
        super().__init__(plan)
        self._finish, self._device = finish, device
        self._read_ahead = ReadAhead(reader, -(-max(plan.sizes) // plan.parts), workers)

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        parts = list(self._plan.epoch(epoch, first_step))
        for part, (images, targets) in zip(parts, self._read_ahead(parts), strict=True):
            # copies from pinned memory overlap with what the device computes; elsewhere a copy must be over before the
            # buffer is written again
            overlap = self._device.type == "cuda"
            images = (images.pin_memory() if overlap else images).to(self._device, non_blocking=overlap)
            yield self._finish(images, targets, part)
