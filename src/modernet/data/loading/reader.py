"""Reads the images and targets of a micro-batch, one image at a time, in whichever process."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.chance import Stream, generator, new_seed
from modernet.data.dataset import OnDisk
from modernet.data.images.views import ChooseView, View, central_view
from modernet.data.loading.plan import MicroBatch
from modernet.data.targets import SemanticTargets, varied_view
from modernet.data.transforms.fitted_views import fit_view, random_fitted_view
from modernet.data.transforms.photometric import distort
from modernet.data.transforms.random_crops import random_view
from modernet.data.transforms.timm_augment import TimmAugment, uses_timm_augment
from modernet.errors import InputError
from modernet.preparation import Preparation
from modernet.recipes import Augmentation, DenseAugmentation, SegmentationAugmentation

BatchTransform = Callable[[Tensor, NDArray[np.int64]], Tensor]
"""uint8 (b, 3, h, w) and the positions of the images in the split -> the same shape and type."""


class Reader:
    """Reads micro-batches.

    Does what needs the whole image, or PIL: crop, flip and RandAugment or color jitter, in the order of timm's training
    transform. Images with boxes are fitted into the size instead of covering it.

    Args:
        split: where the images are.
        preparation: size, crop and interpolation of the images; the mean fills what RandAugment uncovers.
        augmentation: of each image, instead of a central crop; None in evaluation.
        seed: of the augmentation.
        transform: applied to each micro-batch last.

    Raises:
        InputError: RandAugment's notation is not understood.
    """

    def __init__(
        self,
        split: OnDisk,
        preparation: Preparation,
        *,
        augmentation: Augmentation | None = None,
        seed: int = 0,
        transform: BatchTransform | None = None,
    ) -> None:
        self._images, self._indices, self._targets = split.images, split.indices, split.targets
        self._view_size, self._interpolation = preparation.size, preparation.interpolation
        self._fitted = split.targets.fitted
        self.size = (max(preparation.size),) * 2 if self._fitted else preparation.size
        self._crop, self._augmentation = preparation.crop, augmentation
        self._seed, self._transform = seed, transform
        self._photometric = isinstance(augmentation, DenseAugmentation) and augmentation.photometric
        self._class_share = augmentation.class_share if isinstance(augmentation, SegmentationAugmentation) else 1.0
        self._timm_augment: TimmAugment | None = None
        if augmentation is not None and uses_timm_augment(augmentation):
            self._timm_augment = TimmAugment(augmentation, preparation)

    def read(self, micro_batch: MicroBatch, images: Tensor) -> Any:
        """Write the images of a micro-batch to the first places of `images`, uint8 (b, 3, *size); images that are
        smaller to the upper left.

        Returns:
            Their targets, collated, or an `InputError` for the first image or target that cannot be read or fetched:
            raised, it would come out of a worker as a traceback.
        """
        rng = generator(self._seed, Stream.IMAGE, micro_batch.epoch, micro_batch.step, micro_batch.index)
        positions = micro_batch.positions
        indices = self._indices[positions].tolist()
        views = []
        try:
            for place, (position, index) in enumerate(zip(positions.tolist(), indices, strict=True)):
                pixels, view = self._read_image(position, index, rng)
                h, w = view.size
                images[place, :, :h, :w] = pixels
                views.append(view)
            if self._transform is not None:
                images[: len(views)] = self._transform(images[: len(views)], positions)
            return self._targets.take(positions).show(views).collate()
        except InputError as error:
            return error

    def _read_image(self, position: int, index: int, rng: np.random.Generator) -> tuple[Tensor, View]:
        choose: ChooseView = partial(central_view, size=self._view_size, crop=self._crop)
        if self._fitted:
            choose = partial(fit_view, size=self._view_size)
        if self._augmentation is not None:
            draw = random_fitted_view if self._fitted else random_view
            choose = partial(draw, size=self._view_size, augmentation=self._augmentation, rng=rng)
        if self._class_share < 1:
            assert isinstance(self._targets, SemanticTargets)
            choose = partial(varied_view, choose=choose, maps=self._targets, position=position, share=self._class_share)
        pixels, view = self._images.read_view(index, choose, self._interpolation)
        if self._photometric:
            pixels = distort(pixels, rng)
        if self._timm_augment is not None:
            pixels = self._timm_augment(pixels, new_seed(rng))
        return pixels, view
