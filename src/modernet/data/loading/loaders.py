"""Splits -> batches on the device, the same in every run.

What is random about a micro-batch is a function of (seed, epoch, step, index) alone: a run that resumes in the middle
of an epoch, or with another number of processes, continues with exactly the images that it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from modernet.data.chance import Stream, generator
from modernet.data.dataset import ImageDataset, InMemory, OnDisk, OpenedSplit, Split
from modernet.data.images.collection import DecodedImages
from modernet.data.images.views import central_view
from modernet.data.loading.plan import EvaluationPlan, MicroBatch, Place, Plan, TrainingPlan
from modernet.data.loading.reader import BatchTransform, Reader
from modernet.data.loading.workers import ReadAhead
from modernet.data.targets import BoxBatch, ClassTargets, Targets, transfer
from modernet.data.transforms.erasing import erase
from modernet.data.transforms.mixing import mix
from modernet.data.transforms.moves import draw_moves
from modernet.data.transforms.timm_augment import uses_timm_augment
from modernet.errors import InputError
from modernet.machine.cores import decoding_workers
from modernet.preparation import Preparation
from modernet.recipes import Augmentation, DenseAugmentation, SegmentationAugmentation

_MOST_WORKERS = 8


class Batch(NamedTuple):
    """One micro-batch, on the device.

    Attributes:
        images: float32 (b, 3, h, w), normalised, in channels_last layout; 0 where there is padding.
        targets: what `Targets.collate` returns. Of classes, int64 (b,), or float32 (b, k) when mixed: the share of each
            class, before any label smoothing.
        positions: int64 (b,), on the CPU: index of each image in the split (before they were mixed).
        counted: how many of the images count. All do in training. In evaluation it is 0 where the only image keeps a
            process in step with the others, because a batch has fewer images than there are processes.
    """

    images: Tensor
    targets: Any
    positions: Tensor
    counted: int

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """What a network is called with."""
        return (self.images,)


class Loader(Protocol):
    """Batches, epoch after epoch, as one process sees them.

    Attributes:
        steps_per_epoch: batches in an epoch.
        samples_per_epoch: images in an epoch, over all processes.
        micro_batches_per_step: how many `Batch`es `batches` yields for each step.
    """

    steps_per_epoch: int
    samples_per_epoch: int
    micro_batches_per_step: int

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        """Yield this process's micro-batches of an epoch, in order, from `first_step` on: what an uninterrupted epoch
        would have given from there. Go through one epoch at a time.
        """


def make_loader(
    dataset: ImageDataset | OpenedSplit,
    split: Split,
    *,
    batch_size: int,
    device: torch.device,
    augmentation: Augmentation | None,
    preparation: Preparation | None = None,
    seed: int = 0,
    workers: int | None = None,
    place: Place = Place(),  # noqa: B008 - frozen
    transform: BatchTransform | None = None,
) -> Loader:
    """Serve a split in batches.

    Args:
        dataset: the data set of the split.
        split: one of its splits.
        batch_size: images in a batch, over all processes, at least 1.
        device: where the batches are wanted.
        augmentation: for training: shuffled and augmented, every image once an epoch, in full batches except the last
            two (see `TrainingPlan`). None for evaluation: every image once, in order, nothing random, the last batch
            may be short.
        preparation: size, interpolation and normalisation of the images, and their central crop in evaluation; None is
            the data set's own.
        seed: of everything random.
        workers: processes that decode images on disk; 0 decodes in this one, None is one for each usable core
            (`cores.decoding_workers`), at most 8. Images in memory need them only for RandAugment and color
            jitter, which see one image at a time.
        place: which micro-batches this process serves. Each training batch is divided into `place.micro_batches`, each
            augmented and mixed by itself; a batch of evaluation has one for each process.
        transform: for evaluation: applied to the images of every micro-batch in their final size, before they are
            normalised. It is called where images are read: in a worker process where there are workers, and for images
            in memory on the device.

    Raises:
        InputError: batch_size is below 1, a batch has fewer images than micro-batches, the augmentation does not suit
            the targets, or `rand_augment` is not in timm's notation; while batches are drawn, for an image on disk that
            cannot be read.
    """
    assert len(split) > 0, "open_dataset returns no empty split"
    assert transform is None or augmentation is None, "training augments its images"
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; give 1 or more")
    if preparation is None:
        preparation = dataset.preparation
    plan: Plan
    if augmentation is None:
        plan = EvaluationPlan(len(split), batch_size, place)
    else:
        _check_augmentation(augmentation, split.targets)
        preparation = replace(preparation, crop=1.0)
        shards = split.shards.numpy() if isinstance(split, OnDisk) and split.shards is not None else None
        plan = TrainingPlan(len(split), batch_size, seed, place, repeats=augmentation.repeats, shards=shards)
    one_by_one = (augmentation is not None and _sees_images(augmentation)) or split.targets.fitted
    if isinstance(split, InMemory) and one_by_one:
        split = OnDisk(DecodedImages(split.images, "the images in memory"), torch.arange(len(split)), split.targets)
    of_image, of_batch = None, augmentation
    if isinstance(split, OnDisk):
        of_image, of_batch = _divide(augmentation, split.targets)
    finish = _Finish(len(dataset.classes), split.targets, preparation, of_batch, device, seed)
    match split:
        case InMemory():
            return _MemoryLoader(_prepared(split, preparation), plan, finish, device, transform)
        case OnDisk():
            reader = Reader(split, preparation, augmentation=of_image, seed=seed, transform=transform)
            count = decoding_workers(_MOST_WORKERS) if workers is None else workers
            return _DiskLoader(reader, plan, finish, device, count)
        case _:
            raise TypeError(f"a split is InMemory or OnDisk, not {type(split).__name__}")


def _check_augmentation(augmentation: Augmentation, targets: Targets) -> None:
    if (augmentation.mixup or augmentation.cutmix) and not isinstance(targets, ClassTargets):
        raise InputError("mixup and cutmix need class targets; set both to 0")
    if augmentation.rand_augment and targets.spatial:
        others = "scale_max" if targets.fitted else "shift"
        raise InputError(
            "rand_augment would move pixels away from their targets; leave it out: color_jitter, flip, crop_scale and "
            f"{others} can be used"
        )
    if augmentation.shift and targets.fitted:
        raise InputError("shift would reflect objects at the border, without boxes; set it to 0, and use scale_max")


def _prepared(split: InMemory, preparation: Preparation) -> InMemory:
    """Crop and resize the images, if their size is another."""
    h, w = split.images.shape[-2:]
    if preparation.crop == 1 and preparation.size == (h, w):
        return split
    view = central_view(h, w, preparation.size, preparation.crop)
    images = torch.stack([view.show(image, preparation.interpolation) for image in split.images])
    return InMemory(images, split.targets.show([view] * len(split)))


def _sees_images(augmentation: Augmentation) -> bool:
    """Whether an augmentation works on one image at a time, even if images are in memory."""
    dense = isinstance(augmentation, DenseAugmentation) and (augmentation.rescales or augmentation.photometric)
    return dense or uses_timm_augment(augmentation)


def _divide(augmentation: Augmentation | None, targets: Targets) -> tuple[Augmentation | None, Augmentation | None]:
    """Divide an augmentation between the reader, which sees one image at a time, and the batch.

    A flip comes before RandAugment, and costs less while an image is read than afterwards; where nothing else is done
    to single images, it is left to the batch, so that both kinds of split give the same batches. Boxes are mapped by
    views alone, which are drawn where images are read.
    """
    if augmentation is None or (augmentation.crop_scale == 1 and not _sees_images(augmentation) and not targets.fitted):
        return None, augmentation
    done: dict[str, Any] = {"flip": 0.0, "crop_scale": 1.0}
    if isinstance(augmentation, DenseAugmentation):
        done |= {"scale_min": 1.0, "scale_max": 1.0, "photometric": False}
    if isinstance(augmentation, SegmentationAugmentation):
        done["class_share"] = 1.0
    return augmentation, replace(augmentation, **done)


class _Finish:
    """Pixels -> a batch: moved, normalised, erased, mixed."""

    def __init__(
        self,
        num_classes: int,
        targets: Targets,
        preparation: Preparation,
        augmentation: Augmentation | None,
        device: torch.device,
        seed: int,
    ) -> None:
        self.num_classes, self.targets, self.preparation = num_classes, targets, preparation
        self.augmentation, self.device, self.seed = augmentation, device, seed

    def __call__(self, images_u8: Tensor, targets: Any, micro_batch: MicroBatch) -> Batch:
        positions = torch.from_numpy(micro_batch.positions)
        counted = len(positions) if micro_batch.counts else 0
        if self.augmentation is None:
            images = _padded(self._normalised(images_u8, targets), targets)
            return Batch(images, transfer(targets, self.device), positions, counted)
        rng = generator(self.seed, Stream.BATCH, micro_batch.epoch, micro_batch.step, micro_batch.index)
        size = images_u8.shape[-2], images_u8.shape[-1]
        moves = draw_moves(len(images_u8), size, self.augmentation, rng)
        if moves is not None:
            images_u8 = moves.apply(images_u8, self.preparation.interpolation)
            targets = self.targets.move(targets, moves)
        targets = transfer(targets, self.device)
        images = _padded(erase(self._normalised(images_u8, targets), self.augmentation, rng), targets)
        if isinstance(self.targets, ClassTargets):
            images, targets = mix(images, targets, self.num_classes, self.augmentation, rng)
        return Batch(images, targets, positions, counted)

    def _normalised(self, images_u8: Tensor, targets: Any) -> Tensor:
        """Normalise; of images with boxes, which differ in size, cut off what none fills."""
        if isinstance(targets, BoxBatch):
            height, width = targets.sizes.amax(0).tolist()
            images_u8 = images_u8[:, :, :height, :width]
        return self.preparation.normalise(images_u8)


def _padded(images: Tensor, targets: Any) -> Tensor:
    """Fill the padding to the right of and below images with boxes with zeros, in place."""
    if isinstance(targets, BoxBatch):
        for image, (h, w) in zip(images, targets.sizes.tolist(), strict=True):
            image[:, h:], image[:, :h, w:] = 0, 0
    return images


class _Planned:
    """The size of a loader's epochs, which its plan decides."""

    def __init__(self, plan: Plan) -> None:
        self.steps_per_epoch, self.samples_per_epoch = len(plan.sizes), plan.samples
        self.micro_batches_per_step = plan.place.micro_batches // plan.place.world
        self._plan = plan


class _MemoryLoader(_Planned):
    """Serves images that are kept on the device."""

    def __init__(
        self, split: InMemory, plan: Plan, finish: _Finish, device: torch.device, transform: BatchTransform | None
    ) -> None:
        super().__init__(plan)
        self._finish, self._device, self._transform = finish, device, transform
        # n h w c, so that an image is one run of bytes
        self._pixels = split.images.to(device).permute(0, 2, 3, 1).contiguous()
        self._targets = split.targets.to(device)

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        for micro_batch in self._plan.epoch(epoch, first_step):
            chosen = torch.from_numpy(micro_batch.positions).to(self._device)
            images = self._pixels[chosen].permute(0, 3, 1, 2)
            if self._transform is not None:
                images = self._transform(images, micro_batch.positions)
            yield self._finish(images, self._targets.take(micro_batch.positions).collate(), micro_batch)


class _DiskLoader(_Planned):
    """Serves images that workers decode."""

    def __init__(self, reader: Reader, plan: Plan, finish: _Finish, device: torch.device, workers: int) -> None:
        super().__init__(plan)
        self._finish, self._device = finish, device
        self._read_ahead = ReadAhead(reader, -(-max(plan.sizes) // plan.place.micro_batches), workers)

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        micro_batches = list(self._plan.epoch(epoch, first_step))
        for micro_batch, (images, targets) in zip(micro_batches, self._read_ahead(micro_batches), strict=True):
            # copies from pinned memory overlap with what the device computes; elsewhere a copy must be over before the
            # buffer is written again
            overlap = self._device.type == "cuda"
            images = (images.pin_memory() if overlap else images).to(self._device, non_blocking=overlap)
            yield self._finish(images, targets, micro_batch)
