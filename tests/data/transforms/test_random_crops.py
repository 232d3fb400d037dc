from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy import stats
from timm.data.transforms import RandomResizedCropAndInterpolation

from modernet.data.chance import seeded
from modernet.data.transforms.random_crops import random_box, random_crops, rescaled_box


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@given(seed=st.integers(0, 1000), low=st.floats(0.02, 0.9))
@settings(deadline=None)
def test_crops_are_inside_with_the_area_and_ratio_asked_for(seed: int, low: float) -> None:
    top, left, height, width = random_crops(50, low, rng(seed)).T
    assert min(top.min(), left.min()) >= 0
    assert max((top + height).max(), (left + width).max()) <= 1 + 1e-12
    whole = (height < 1) & (width < 1)  # the others may have been cut to fit
    area, ratio = height * width, width / height
    assert (area[whole] >= low - 1e-9).all()
    assert ((ratio[whole] >= 3 / 4 - 1e-9) & (ratio[whole] <= 4 / 3 + 1e-9)).all()


@given(seed=st.integers(0, 1000), h=st.integers(1, 60), w=st.integers(1, 60), low=st.floats(0.05, 0.99))
def test_a_box_is_inside_its_image(seed: int, h: int, w: int, low: float) -> None:
    box = random_box(h, w, low, rng(seed))
    assert min(box.top, box.left) >= 0
    assert min(box.height, box.width) >= 1
    assert box.top + box.height <= h
    assert box.left + box.width <= w


def alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Columns of the same distributions: none of the tests of Kolmogorov and Smirnov sees a difference."""
    for one, other in zip(ours.T, theirs.T, strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-3


@pytest.mark.parametrize(("h", "w"), [(60, 80), (30, 100), (90, 40)])
def test_boxes_have_the_distribution_of_timms_random_resized_crop(h: int, w: int) -> None:
    image, generator = Image.new("L", (w, h)), rng(1)
    ours = np.array([random_box(h, w, 0.08, generator) for _ in range(2000)])
    with seeded(1):
        draw = RandomResizedCropAndInterpolation.get_params
        theirs = np.array([draw(image, (0.08, 1.0), (3 / 4, 4 / 3)) for _ in range(2000)])
    alike(ours, theirs)


def test_the_box_of_a_panorama_is_in_its_centre_as_timms() -> None:
    for h, w in ((10, 400), (400, 10)):
        with seeded(0):
            theirs = RandomResizedCropAndInterpolation.get_params(Image.new("L", (w, h)), (0.9, 1.0), (3 / 4, 4 / 3))
        assert random_box(h, w, 0.9, rng()) == theirs


def test_the_boxes_of_a_wide_view_are_wide() -> None:
    boxes = np.array([random_box(200, 400, 0.1, generator, shape=2.0) for generator in [rng()] for _ in range(500)])
    ratios = boxes[:, 3] / boxes[:, 2] / 2
    assert 0.7 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 1.4
    assert random_box(400, 10, 0.9, rng(), shape=2.0)[2:] == (7, 10)


def test_a_small_smallest_area_crops_more_than_a_large_one() -> None:
    small, large = random_crops(500, 0.2, rng()), random_crops(500, 0.9, rng())
    assert small[:, 2:].mean() < large[:, 2:].mean() - 0.1


def test_the_ratio_of_crops_is_symmetric() -> None:
    boxes = random_crops(5000, 0.2, rng())
    boxes = boxes[(boxes[:, 2:] < 1).all(1)]  # the others may have been cut to fit
    assert abs(np.log(boxes[:, 3] / boxes[:, 2]).mean()) < 0.02
    assert np.abs(np.log(boxes[:, 3] / boxes[:, 2])).max() <= math.log(4 / 3) + 1e-9


@pytest.mark.parametrize(("h", "w"), [(480, 640), (640, 480), (300, 300), (100, 1000)])
def test_crops_of_a_rescaled_image_have_the_published_scales(h: int, w: int) -> None:
    """OpenMMLab's Resize((2048, 512), ratio_range=(0.5, 2)) and a crop of 512, in pixels of the image as it is."""
    draws = rng()
    boxes = [rescaled_box(h, w, (512, 512), (0.5, 2.0), draws) for _ in range(300)]
    covering = min(512 / min(h, w), 2048 / max(h, w))
    scales = np.array([512 / box.height for box in boxes]) / covering

    assert 0.49 < scales.min() < 0.56
    assert 1.9 < scales.max() < 2.05
    for box in boxes:
        assert abs(box.height - box.width) <= 1
        for start, length, side in ((box.top, box.height, h), (box.left, box.width, w)):
            assert start >= 0
            assert start == 0 or start + length <= side + 1  # only an image smaller than the crop is padded
    assert len({box.left for box in boxes}) > 20
