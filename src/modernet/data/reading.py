"""Pictures on disk -> the pixels of a part of a batch, in worker processes."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from modernet.data import augment
from modernet.data.batching import Part
from modernet.data.chance import Stream, generator
from modernet.data.dataset import OnDisk
from modernet.data.pictures import Interpolation, UnreadablePicture, fit_picture, scale_picture


class PartReader(Dataset["Tensor | UnreadablePicture"]):
    """Decodes a part of a batch: uint8 (b, 3, image_size, image_size).

    An unreadable picture is returned, since an exception would come out of a worker as a traceback.

    Args:
        split: where the pictures are.
        image_size: side of the square pictures.
        test_crop: what is shown of a picture that is not cropped at random, as `crop` of `fit_picture`.
        interpolation: how pictures are scaled.
        crop_scale: smallest area of a random resized crop; 1 is none.
        seed: of the crops.
    """

    def __init__(
        self,
        split: OnDisk,
        image_size: int,
        *,
        test_crop: float = 1.0,
        interpolation: Interpolation = "bilinear",
        crop_scale: float = 1.0,
        seed: int = 0,
    ) -> None:
        self._pictures, self._indices = split.pictures, split.indices
        self._image_size, self._test_crop, self._interpolation = image_size, test_crop, interpolation
        self._crop_scale, self._seed = crop_scale, seed

    def __getitem__(self, part: Part) -> Tensor | UnreadablePicture:
        size = self._image_size
        rng = generator(self._seed, Stream.PICTURE, part.epoch, part.step, part.part)
        images = torch.empty((len(part.positions), size, size, 3), dtype=torch.uint8).permute(0, 3, 1, 2)
        for place, index in enumerate(self._indices[part.positions].tolist()):
            try:
                picture = self._pictures.read(index)
            except UnreadablePicture as error:
                return error
            images[place] = self._square(picture, rng)
        return images

    def _square(self, picture: Tensor, rng: np.random.Generator) -> Tensor:
        if self._crop_scale < 1:
            return random_crop(picture, self._image_size, self._crop_scale, rng, self._interpolation)
        return fit_picture(picture, self._image_size, crop=self._test_crop, interpolation=self._interpolation)


def random_crop(
    picture: Tensor, image_size: int, smallest_area: float, rng: np.random.Generator, interpolation: Interpolation
) -> Tensor:
    """A random resized crop of a whole picture of any shape: uint8 (3, h, w) -> (3, image_size, image_size)."""
    _, h, w = picture.shape
    box = augment.random_crops(1, smallest_area, rng, aspect=w / h)[0]
    height, width = max(1, round(box[2] * h)), max(1, round(box[3] * w))
    top, left = min(round(box[0] * h), h - height), min(round(box[1] * w), w - width)
    return scale_picture(picture[:, top : top + height, left : left + width], image_size, interpolation)
