"""Images -> the pixels of a part of a batch, one image at a time."""

from __future__ import annotations

from functools import partial

import numpy as np
from torch import Tensor

from modernet.data.chance import Stream, generator, new_seed
from modernet.data.dataset import OnDisk
from modernet.data.images.views import ChooseBox, Interpolation, central_box
from modernet.data.loading.plan import Part
from modernet.data.transforms.on_device import random_box
from modernet.data.transforms.timm_augment import TimmAugment, uses_timm_augment
from modernet.errors import InputError
from modernet.recipes import Augmentation


class PartReader:
    """Reads the images of a part.

    Here is done what needs the whole image, or PIL: crop, flip and RandAugment or color jitter, in the order of
    timm's training transform.

    Args:
        split: where the images are.
        image_size: side of the square images.
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
        image_size: int,
        interpolation: Interpolation,
        *,
        crop: float = 1.0,
        augmentation: Augmentation | None = None,
        mean: tuple[float, ...] = (0.5, 0.5, 0.5),
        seed: int = 0,
    ) -> None:
        self._images, self._indices = split.images, split.indices
        self.image_size, self._interpolation = image_size, interpolation
        self._crop, self._augmentation, self._seed = crop, augmentation, seed
        self._timm_augment: TimmAugment | None = None
        if augmentation is not None and uses_timm_augment(augmentation):
            self._timm_augment = TimmAugment(augmentation, image_size, mean, interpolation)

    def read(self, part: Part, images: Tensor) -> InputError | None:
        """Write a part's images into the first places of `images`, uint8 (b, 3, image_size, image_size).

        Returns:
            The error of the first that cannot be read or fetched: raised, it would come out of a worker as a traceback.
        """
        rng = generator(self._seed, Stream.IMAGE, part.epoch, part.step, part.part)
        for place, index in enumerate(self._indices[part.positions].tolist()):
            try:
                images[place] = self._square(index, rng)
            except InputError as error:
                return error
        return None

    def _square(self, index: int, rng: np.random.Generator) -> Tensor:
        augmentation = self._augmentation
        choose: ChooseBox = partial(central_box, crop=self._crop)
        if augmentation is not None and augmentation.crop_scale < 1:
            choose = partial(random_box, smallest_area=augmentation.crop_scale, rng=rng)
        square = self._images.read_square(index, choose, self.image_size, self._interpolation)
        if augmentation is not None and rng.random() < augmentation.flip:
            square = square.flip(-1)
        if self._timm_augment is not None:
            square = self._timm_augment(square, new_seed(rng))
        return square
