from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from timm.data.random_erasing import RandomErasing

from modernet.data.chance import seeded
from modernet.data.transforms.erasing import erase, erasing_rectangles, inside
from modernet.recipes import Augmentation


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def alike(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Columns of the same distributions: none of the tests of Kolmogorov and Smirnov sees a difference."""
    for one, other in zip(ours.T, theirs.T, strict=True):
        assert stats.ks_2samp(one, other).pvalue > 1e-3


def test_erased_rectangles_have_the_distribution_of_timms() -> None:
    side, n = 24, 2000
    ours = erasing_rectangles(n, (side, side + 8), rng(1))
    erasing = RandomErasing(probability=1.0, mode="pixel", device="cpu")
    images = torch.full((n, 1, side, side + 8), 5.0)
    with seeded(1):
        erasing(images)
    rows, columns = (images[:, 0] != 5.0).any(2), (images[:, 0] != 5.0).any(1)
    places = [rows.int().argmax(1), columns.int().argmax(1), rows.sum(1), columns.sum(1)]
    alike(ours, torch.stack(places, 1).numpy())


@given(top=st.integers(-5, 9), left=st.integers(-5, 9), height=st.integers(0, 12), width=st.integers(0, 12))
def test_inside_is_a_slice_cut_at_the_border(top: int, left: int, height: int, width: int) -> None:
    mask = inside(*(np.array([value]) for value in (top, left, height, width)), (8, 6), torch.device("cpu"))
    expected = torch.zeros(1, 1, 8, 6, dtype=torch.bool)
    expected[:, :, max(top, 0) : max(top + height, 0), max(left, 0) : max(left + width, 0)] = True
    assert torch.equal(mask, expected)


def erased_pixels(images: torch.Tensor, augmentation: Augmentation, seed: int = 0) -> torch.Tensor:
    """Which pixels were replaced; 5 is a value that noise does not take."""
    return (erase(torch.full_like(images, 5.0), augmentation, rng(seed)) != 5.0).any(1)


def test_erasing_replaces_one_rectangle_of_the_right_area_and_shape() -> None:
    masks = erased_pixels(torch.zeros(300, 3, 32, 32), Augmentation(flip=0.0, erasing=1.0))
    for mask in masks:
        rows, columns = mask.any(1).nonzero()[:, 0], mask.any(0).nonzero()[:, 0]
        height, width = len(rows), len(columns)
        assert mask.sum() == height * width, "not a rectangle"
        assert rows[-1] - rows[0] + 1 == height, "not one rectangle"
        assert 0.015 < height * width / 32**2 < 0.36  # 2 to 33 %, rounded to pixels
        assert 0.22 < width / height < 4.5


def test_erasing_happens_with_its_probability_and_leaves_noise_of_unit_deviation() -> None:
    images = torch.full((2000, 3, 16, 16), 5.0)
    erased = erase(images.clone(), Augmentation(flip=0.0, erasing=0.25), rng())
    touched = (erased != 5.0).flatten(1).any(1)
    assert touched.float().mean().item() == pytest.approx(0.25, abs=0.03)
    noise = erased[erased != 5.0]
    assert noise.mean().item() == pytest.approx(0, abs=0.02)
    assert noise.std().item() == pytest.approx(1, abs=0.02)


def test_cutout_blanks_a_square_around_any_pixel() -> None:
    masks = erased_pixels(torch.zeros(400, 3, 16, 16), Augmentation(flip=0.0, cutout=0.25))
    blanked = erase(torch.full((400, 3, 16, 16), 5.0), Augmentation(flip=0.0, cutout=0.25), rng())
    assert set(blanked.unique().tolist()) == {0.0, 5.0}
    areas = masks.flatten(1).sum(1)
    assert areas.max() == 4 * 4
    assert areas.min() == 2 * 2  # in a corner, where it hangs over both borders
    assert masks.any(0).all(), "some pixel is never blanked"
