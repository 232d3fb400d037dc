"""RandAugment and color jitter, one image at a time, by timm and torchvision, whose code is the published form."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from modernet.data.chance import seeded
from modernet.errors import InputError
from modernet.preparation import Preparation
from modernet.recipes import Augmentation

# m(agnitude), n(umber of operations), p(robability), mstd, mmax, inc(reasing), t(he set of operations)
_NOTATION = re.compile(r"rand(-(m\d+|n\d+|p\d*\.?\d+|mstd\d*\.?\d+|mmax\d+|inc[01]|t(weights|3a|3aw)))*")
_ALL_BITS = 8
_FURTHEST = 0.45  # of the shorter side: RandAugment's largest translation in timm's training transform


def uses_timm_augment(augmentation: Augmentation) -> bool:
    return bool(augmentation.rand_augment) or augmentation.color_jitter > 0


class TimmAugment:
    """What timm's training transform does between crop and normalisation: RandAugment, or else color jitter.

    Args:
        augmentation: its `rand_augment` and `color_jitter`.
        preparation: of the images. The mean fills what RandAugment uncovers, and its geometric operations interpolate
            as the images are resized.

    Raises:
        InputError: `rand_augment` is not in timm's notation.
    """

    def __init__(self, augmentation: Augmentation, preparation: Preparation) -> None:
        self._transform = (
            _rand_augment(augmentation.rand_augment, preparation)
            if augmentation.rand_augment
            else _color_jitter(augmentation.color_jitter)
        )

    def __call__(self, pixels: Tensor, seed: int) -> Tensor:
        """Augment an image, uint8 (3, h, w), as a function of `seed`."""
        image = Image.fromarray(pixels.permute(1, 2, 0).numpy())
        with seeded(seed):
            image = self._transform(image)
        return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def _rand_augment(notation: str, preparation: Preparation) -> Callable[[Image.Image], Image.Image]:
    from timm.data.auto_augment import RandAugment, rand_augment_transform  # timm takes seconds to import
    from timm.data.transforms import str_to_pil_interp

    settings = {
        "translate_const": int(_FURTHEST * min(preparation.size)),
        "img_mean": tuple(min(255, round(255 * value)) for value in preparation.mean),
        "interpolation": str_to_pil_interp(preparation.pil_interpolation),  # type: ignore[no-untyped-call]
    }
    if not _NOTATION.fullmatch(notation):
        raise InputError(
            f"rand_augment is {notation!r}; give timm's notation, such as rand-m9-mstd0.5-inc1, or nothing"
        )
    transform: RandAugment = rand_augment_transform(notation, settings)
    for operation in transform.ops:
        if operation.name.startswith("Posterize"):
            operation.aug_fn = _posterize
    return transform


def _posterize(image: Image.Image, bits_to_keep: int, **_: object) -> Image.Image:
    """Posterize as timm does; its largest magnitude keeps 0 bits, which is black, and which Pillow now refuses."""
    if bits_to_keep >= _ALL_BITS:
        return image
    return ImageOps.posterize(image, bits_to_keep) if bits_to_keep else Image.new(image.mode, image.size)


def _color_jitter(change: float) -> Callable[[Image.Image], Image.Image]:
    from torchvision.transforms import ColorJitter  # takes seconds as well

    jitter: Callable[[Image.Image], Image.Image] = ColorJitter(change, change, change)
    return jitter
