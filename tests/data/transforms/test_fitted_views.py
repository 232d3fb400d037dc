"""Views of images with boxes: fitted, never stretched, at the published random sizes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modernet.data.images.views import Box, View
from modernet.data.transforms.fitted_views import fit_view, fitted_size, random_fitted_view
from modernet.errors import InputError
from modernet.recipes import Augmentation, DetectionAugmentation

PUBLISHED = (800, 1333)
AUGMENTATIONS = [
    Augmentation(),
    Augmentation(crop_scale=0.2),
    DetectionAugmentation(multi_scale=True),
    DetectionAugmentation(scale_min=0.1, scale_max=2.0),
]


@pytest.mark.parametrize(
    ("image", "size", "expected"),
    [
        ((480, 640), PUBLISHED, (800, 1067)),  # torchvision rounds down, to 1066
        ((640, 480), PUBLISHED, (1067, 800)),
        ((426, 640), PUBLISHED, (800, 1202)),
        ((300, 1000), PUBLISHED, (400, 1333)),
        ((10, 5000), PUBLISHED, (3, 1333)),
        ((1, 9000), PUBLISHED, (1, 1333)),
        ((480, 640), (512, 512), (384, 512)),
    ],
)
def test_an_image_is_scaled_to_fit_whichever_way_it_is_turned(
    image: tuple[int, int], size: tuple[int, int], expected: tuple[int, int]
) -> None:
    assert fitted_size(*image, size) == expected
    assert fit_view(*image, size) == View(Box(0, 0, *image), expected)


@pytest.mark.parametrize("augmentation", AUGMENTATIONS)
@given(h=st.integers(1, 900), w=st.integers(1, 900), seed=st.integers(0, 2**32))
@settings(deadline=None)
def test_a_random_view_is_part_of_the_image_and_fits(h: int, w: int, seed: int, augmentation: Augmentation) -> None:
    for size in (PUBLISHED, (64, 64)):
        view = random_fitted_view(h, w, size, augmentation, np.random.default_rng(seed))
        box, shown = view.box, view.size
        assert 0 <= box.top <= box.top + box.height <= h
        assert 0 <= box.left <= box.left + box.width <= w
        assert min(box.height, box.width) >= 1
        assert min(shown) <= min(size)
        assert max(shown) <= max(size)
        assert min(shown) >= 1
        if min(*shown, box.height, box.width) >= 8:  # but for whole pixels, nothing is stretched
            slack = 1 / min(box.height, box.width) + 1 / min(shown)
            assert abs((shown[0] / box.height) / (shown[1] / box.width) - 1) <= slack


def test_multi_scale_has_the_published_sizes() -> None:
    rng, shorter, cropped = np.random.default_rng(0), set(), []
    for _ in range(400):
        view = random_fitted_view(480, 640, PUBLISHED, DetectionAugmentation(multi_scale=True), rng)
        whole = view.box == Box(0, 0, 480, 640)
        if whole:
            shorter.add(min(view.size))
        else:
            cropped.append(view.box)
    assert shorter == set(range(480, 801, 32))
    assert 150 < len(cropped) < 250
    # 384 to 600 pixels of an image whose shorter side is 400, 500 or 600
    heights = [box.height for box in cropped]
    assert min(heights) == pytest.approx(384 * 480 / 600, abs=4)
    assert max(heights) == 480
    assert min(box.width for box in cropped) == pytest.approx(384 * 480 / 600, abs=4)
    lowest = [
        box.width for box in cropped if box.height < 384 * 480 / 500 - 4
    ]  # which only a shorter side of 600 gives
    assert len(lowest) > 10
    assert max(lowest) <= 600 * 480 / 600


def test_large_scale_jitter_crops_what_is_too_large_and_leaves_what_is_small() -> None:
    rng = np.random.default_rng(0)
    views = [
        random_fitted_view(480, 640, (512, 512), DetectionAugmentation(scale_min=0.1, scale_max=2.0), rng)
        for _ in range(300)
    ]
    factors = np.array([view.size[1] / 512 * 640 / view.box.width for view in views])
    assert 0.099 < factors.min() < 0.2  # of whole pixels
    assert 1.9 < factors.max() <= 2.01
    for view, factor in zip(views, factors, strict=True):
        assert (view.box == Box(0, 0, 480, 640)) == (factor <= 1 + 1e-6)


def test_two_kinds_of_random_sizes_are_refused() -> None:
    with pytest.raises(InputError, match=r"^multi_scale and scale_min are two kinds of random sizes"):
        DetectionAugmentation(multi_scale=True, scale_max=2.0)
    with pytest.raises(InputError, match=r"^multi_scale and crop_scale are two kinds of random crops"):
        DetectionAugmentation(multi_scale=True, crop_scale=0.5)
