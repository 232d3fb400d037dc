from __future__ import annotations

import random
from contextlib import suppress
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment, create_transform

from modernet.data.chance import seeded
from modernet.data.transforms.timm_augment import TimmAugment, _posterize
from modernet.errors import InputError
from modernet.preparation import Interpolation, Preparation
from modernet.recipes import Augmentation

MEAN = (0.485, 0.456, 0.406)


SIZE = (32, 40)
PREPARATION = Preparation(SIZE, MEAN, (0.2, 0.2, 0.2))


def pixels() -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (3, *SIZE), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("rand_augment", "color_jitter"),
    [("rand-m9-mstd0.5-inc1", 0.4), ("rand-m7-n3-p1-mstd101", 0.0), ("", 0.4)],
    ids=["rand_augment", "another", "color_jitter"],
)
def test_an_image_becomes_what_timms_training_transform_makes_of_it(
    rand_augment: str, color_jitter: float, interpolation: Interpolation
) -> None:
    settings = Augmentation(rand_augment=rand_augment, color_jitter=color_jitter)
    ours = TimmAugment(settings, replace(PREPARATION, interpolation=interpolation))
    theirs = create_transform(
        SIZE,
        is_training=True,
        hflip=0.0,
        auto_augment=rand_augment or None,
        color_jitter=color_jitter,
        interpolation=interpolation,
        mean=MEAN,
        std=(1.0, 1.0, 1.0),
        normalize=False,
    )
    between_crop_and_tensor = theirs.transforms[1:-1]
    assert len(between_crop_and_tensor) == 1
    image = Image.fromarray(pixels().permute(1, 2, 0).numpy())
    changed = 0
    for seed in range(30):
        expected = None
        with seeded(seed), suppress(ValueError):  # newer Pillows refuse what timm asks of them at 0 bits
            expected = torch.from_numpy(np.array(between_crop_and_tensor[0](image))).permute(2, 0, 1)
        if expected is not None:
            assert torch.equal(ours(pixels(), seed), expected)
            changed += not torch.equal(expected, pixels())
    assert changed > 15


def test_opencv_interpolates_as_bilinear() -> None:
    settings = Augmentation(rand_augment="rand-m9-n3-inc1")
    opencv, bilinear = (
        TimmAugment(settings, replace(PREPARATION, interpolation=how)) for how in ("opencv", "bilinear")
    )
    assert all(torch.equal(opencv(pixels(), seed), bilinear(pixels(), seed)) for seed in range(5))


def test_no_bits_left_is_black() -> None:
    """timm's operation as it was when Pillow allowed it: every bit is masked."""
    augment = TimmAugment(Augmentation(rand_augment="rand-m10-n30-p1-inc1"), PREPARATION)
    assert augment(pixels(), 0).shape == (3, *SIZE)  # thirty operations, some of which are posterize with 0 bits
    assert _posterize(Image.new("RGB", (4, 4), "white"), 0).getextrema() == ((0, 0),) * 3
    for bits in (1, 4, 8):
        image = Image.fromarray(pixels().permute(1, 2, 0).numpy())
        assert np.array_equal(_posterize(image, bits), auto_augment.posterize(image, bits))


def test_the_global_generators_stay_as_they_were() -> None:
    augment = TimmAugment(Augmentation(rand_augment="rand-m9"), PREPARATION)
    jitter = TimmAugment(Augmentation(color_jitter=0.4), PREPARATION)
    draws = []
    for wanted in (False, True):
        random.seed(0)
        np.random.seed(0)  # noqa: NPY002 - the global state is what is tested
        torch.manual_seed(0)
        if wanted:
            augment(pixels(), 5)
            jitter(pixels(), 5)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))  # noqa: NPY002
    assert draws[0] == draws[1]


@pytest.mark.parametrize(
    "notation", ["m9", "rand-q9", "rand-mX", "rand-m9.5", "rand-m9-", "rand-tnothing", "augmix-m3"]
)
def test_a_wrong_notation_is_refused_in_one_line(notation: str) -> None:
    with pytest.raises(InputError) as caught:
        TimmAugment(Augmentation(rand_augment=notation), PREPARATION)
    assert str(caught.value) == (
        f"rand_augment is {notation!r}; give timm's notation, such as rand-m9-mstd0.5-inc1, or nothing"
    )
