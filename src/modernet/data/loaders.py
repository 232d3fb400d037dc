"""Splits -> batches, on the device, the same at every run.

What is random about a batch is a function of (seed, epoch, step) alone: a run that resumes in the middle of an epoch
goes on with exactly the batches that it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from modernet.data import augment
from modernet.data.cores import decoding_workers
from modernet.data.dataset import ImageDataset, InMemory, OnDisk, Split
from modernet.data.mixing import mix
from modernet.data.pictures import UnreadablePicture, fit_picture, scale_picture, skippable
from modernet.errors import InputError
from modernet.recipes import Augmentation

_MOST_WORKERS = 8
_ORDER, _CROP, _BATCH = 0, 1, 2  # independent streams of random numbers


class Batch(NamedTuple):
    """One batch, on the device.

    Attributes:
        images: float32 (b, 3, h, w), normalised, in channels_last layout.
        targets: int64 (b,), or float32 (b, k) when mixed.
    """

    images: Tensor
    targets: Tensor


class Loader(Protocol):
    """Batches, epoch after epoch.

    Attributes:
        steps_per_epoch: batches in an epoch.
        samples_per_epoch: pictures in an epoch.
    """

    steps_per_epoch: int
    samples_per_epoch: int

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from `first_step` on: what an uninterrupted epoch would have given from there."""


def make_loader(
    dataset: ImageDataset,
    split: Split,
    *,
    batch_size: int,
    device: torch.device,
    augmentation: Augmentation | None,
    seed: int = 0,
    workers: int | None = None,
) -> Loader:
    """Serve a split in batches.

    Args:
        dataset: what the split belongs to: it knows size, normalisation and classes.
        split: one of the data set's splits.
        batch_size: pictures in a batch, at least 1.
        device: where the batches are wanted.
        augmentation: for training: shuffled, augmented, and without the short last batch (a split smaller than one
            batch is one batch). None for evaluation: every picture once, in order, nothing random, the last batch may
            be short.
        seed: of everything random.
        workers: processes that decode pictures on disk; 0 decodes in this one, None is one for each core that is ours
            (`cores.decoding_workers`), at most 8. Pictures in memory need none.

    Raises:
        InputError: batch_size is below 1; while batches are drawn, for a picture on disk that cannot be read.
    """
    assert len(split) > 0, "open_dataset gives no empty split"
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; give 1 or more")
    plan = _Plan(len(split), batch_size, shuffled=augmentation is not None, seed=seed)
    finish = _Finish(dataset, augmentation, device, seed, crop=isinstance(split, InMemory))
    match split:
        case InMemory():
            return _MemoryLoader(split, plan, finish, device)
        case OnDisk():
            if workers is None:
                workers = decoding_workers(_MOST_WORKERS)
            crop_scale = 1.0 if augmentation is None else augmentation.crop_scale
            decoder = _BatchDecoder(split, dataset.image_size, crop_scale, seed)
            return _DiskLoader(split, decoder, plan, finish, device, workers)
        case _:
            raise TypeError(f"a split is InMemory or OnDisk, not {type(split).__name__}")


class _Plan:
    """Which pictures are in which batch."""

    def __init__(self, n: int, batch_size: int, *, shuffled: bool, seed: int) -> None:
        self.n, self.shuffled, self.seed = n, shuffled, seed
        self.batch_size = min(batch_size, n)
        self.steps = n // self.batch_size if shuffled else -(-n // self.batch_size)
        self.samples = self.steps * self.batch_size if shuffled else n

    def order(self, epoch: int) -> Tensor:
        """The epoch's pictures in order, int64 (samples,)."""
        if not self.shuffled:
            return torch.arange(self.n)
        return torch.from_numpy(_rng(self.seed, _ORDER, epoch, 0).permutation(self.n)[: self.samples])


class _Finish:
    """Decoded pictures -> a batch: moved, normalised, erased, mixed."""

    def __init__(
        self, dataset: ImageDataset, augmentation: Augmentation | None, device: torch.device, seed: int, *, crop: bool
    ) -> None:
        self.augmentation, self.seed, self.crop = augmentation, seed, crop
        self.num_classes = len(dataset.classes)
        mean = torch.tensor(dataset.mean, device=device)[:, None, None]
        std = torch.tensor(dataset.std, device=device)[:, None, None]
        self.scale, self.offset = 1 / (255 * std), -mean / std

    def __call__(self, images_u8: Tensor, labels: Tensor, epoch: int, step: int) -> Batch:
        if self.augmentation is None:
            return Batch(self._normalised(images_u8), labels)
        rng = _rng(self.seed, _BATCH, epoch, step)
        images = self._normalised(augment.move(images_u8, self.augmentation, rng, crop=self.crop))
        images = augment.erase(images, self.augmentation, rng)
        images, targets = mix(images, labels, self.num_classes, self.augmentation, rng)
        return Batch(images, targets)

    def _normalised(self, images: Tensor) -> Tensor:
        images = images.to(torch.float32, memory_format=torch.channels_last, copy=True)
        return images.mul_(self.scale).add_(self.offset)


class _MemoryLoader:
    """Serves pictures that live on the device."""

    def __init__(self, split: InMemory, plan: _Plan, finish: _Finish, device: torch.device) -> None:
        self.steps_per_epoch, self.samples_per_epoch = plan.steps, plan.samples
        self._plan, self._finish, self._device = plan, finish, device
        # n h w c, so that a picture is one run of bytes
        self._pixels = split.images.to(device).permute(0, 2, 3, 1).contiguous()
        self._labels = split.labels.to(device)

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        order = torch.split(self._plan.order(epoch).to(self._device), self._plan.batch_size)
        for step in range(first_step, self._plan.steps):
            images = self._pixels[order[step]].permute(0, 3, 1, 2)
            yield self._finish(images, self._labels[order[step]], epoch, step)


class _DiskLoader:
    """Serves pictures that workers decode."""

    def __init__(
        self,
        split: OnDisk,
        decoder: _BatchDecoder,
        plan: _Plan,
        finish: _Finish,
        device: torch.device,
        workers: int,
    ) -> None:
        self.steps_per_epoch, self.samples_per_epoch = plan.steps, plan.samples
        self._split, self._decoder, self._plan, self._finish = split, decoder, plan, finish
        self._device, self._workers = device, workers

    def batches(self, epoch: int = 0, first_step: int = 0) -> Iterator[Batch]:
        order = torch.split(self._plan.order(epoch), self._plan.batch_size)
        keys = [_Key(order[step].numpy(), epoch, step) for step in range(first_step, self._plan.steps)]
        decoded: DataLoader[Tensor | UnreadablePicture] = DataLoader(
            self._decoder,
            batch_size=None,  # a key stands for a whole batch
            sampler=keys,
            num_workers=self._workers,
            pin_memory=self._device.type == "cuda",
            generator=torch.Generator(),  # its own, for the seeds of workers; without one it draws from the global one
        )
        for key, images in zip(keys, decoded, strict=True):
            if isinstance(images, UnreadablePicture):
                raise skippable(images)
            images = images.to(self._device, non_blocking=True)
            labels = self._split.labels[key.positions].to(self._device, non_blocking=True)
            yield self._finish(images, labels, epoch, key.step)


class _Key(NamedTuple):
    """A batch to decode: positions in the split, and where its random numbers come from."""

    positions: NDArray[np.int64]
    epoch: int
    step: int


class _BatchDecoder(Dataset["Tensor | UnreadablePicture"]):
    """Decodes a batch in a worker. An unreadable picture is returned, since an exception would come out as a
    traceback.
    """

    def __init__(self, split: OnDisk, image_size: int, crop_scale: float, seed: int) -> None:
        self._pictures, self._indices = split.pictures, split.indices
        self._image_size, self._crop_scale, self._seed = image_size, crop_scale, seed

    def __getitem__(self, key: _Key) -> Tensor | UnreadablePicture:
        size = self._image_size
        rng = _rng(self._seed, _CROP, key.epoch, key.step)
        images = torch.empty((len(key.positions), size, size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        for place, index in enumerate(self._indices[key.positions].tolist()):
            try:
                picture = self._pictures.read(index)
            except UnreadablePicture as error:
                return error
            if self._crop_scale < 1:
                images[place] = _random_crop(picture, size, self._crop_scale, rng)
            else:
                images[place] = fit_picture(picture, size)
        return images


def _random_crop(picture: Tensor, image_size: int, smallest_area: float, rng: np.random.Generator) -> Tensor:
    """A random resized crop of a whole picture of any shape: uint8 (3, h, w) -> (3, image_size, image_size)."""
    _, h, w = picture.shape
    box = augment.random_crops(1, smallest_area, rng, aspect=w / h)[0]
    height, width = max(1, round(box[2] * h)), max(1, round(box[3] * w))
    top, left = min(round(box[0] * h), h - height), min(round(box[1] * w), w - width)
    return scale_picture(picture[:, top : top + height, left : left + width], image_size)


def _rng(seed: int, stream: int, epoch: int, step: int) -> np.random.Generator:
    return np.random.default_rng([seed % 2**63, stream, epoch, step])
