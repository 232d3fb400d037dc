"""Images -> the pixels of a part of a batch, one image at a time."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from torch import Tensor

from modernet.data.chance import Stream, generator, new_seed
from modernet.data.dataset import OnDisk
from modernet.data.images.views import ChooseView, Interpolation, Size, View, central_view
from modernet.data.loading.plan import Part
from modernet.data.transforms.on_device import random_view
from modernet.data.transforms.timm_augment import TimmAugment, uses_timm_augment
from modernet.errors import InputError
from modernet.recipes import Augmentation


class PartReader:
    """Reads the images of a part.

    Here is done what needs the whole image, or PIL: crop, flip and RandAugment or color jitter, in the order of
    timm's training transform.

    Args:
        split: where the images are.
        size: height and width of the images.
        interpolation: how images are scaled.
        crop: what is shown of an image that is not cropped at random, as in `fit_image`.
        augmentation: what is done to each; None is nothing.
        mean: of the images' channels, for RandAugment.
        seed: of the augmentation.

    Raises:
        InputError: RandAugment's notation is not understood.
    """

    def __init__(
        self,
        split: OnDisk,
        size: Size,
        interpolation: Interpolation,
        *,
        crop: float = 1.0,
        augmentation: Augmentation | None = None,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        seed: int = 0,
    ) -> None:
        self._images, self._indices, self._targets = split.images, split.indices, split.targets
        self.size, self._interpolation = size, interpolation
        self._crop, self._augmentation, self._seed = crop, augmentation, seed
        self._timm_augment: TimmAugment | None = None
        if augmentation is not None and uses_timm_augment(augmentation):
            self._timm_augment = TimmAugment(augmentation, size, mean, interpolation)

    def read(self, part: Part, images: Tensor) -> Any:
        """Write a part's images into the first places of `images`, uint8 (b, 3, *size).

        Returns:
            Their targets as a batch, or an `InputError` for the first image or target that cannot be read or fetched:
            raised, it would come out of a worker as a traceback.
        """
        rng = generator(self._seed, Stream.IMAGE, part.epoch, part.step, part.part)
        views = []
        try:
            for place, index in enumerate(self._indices[part.positions].tolist()):
                images[place], view = self._image(index, rng)
                views.append(view)
            return self._targets.take(part.positions).show(views).collate()
        except InputError as error:
            return error

    def _image(self, index: int, rng: np.random.Generator) -> tuple[Tensor, View]:
        choose: ChooseView = partial(central_view, size=self.size, crop=self._crop)
        if self._augmentation is not None:
            choose = partial(random_view, size=self.size, augmentation=self._augmentation, rng=rng)
        pixels, view = self._images.read_view(index, choose, self._interpolation)
        if self._timm_augment is not None:
            pixels = self._timm_augment(pixels, new_seed(rng))
        return pixels, view
