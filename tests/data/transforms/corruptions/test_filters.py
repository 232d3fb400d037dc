"""Filters of batches give what scipy and ImageMagick's definition give for each image."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import ndimage

from data.transforms.corruptions.pictures import pictures, pixels
from data.transforms.corruptions.reference import blur as reference
from modernet.data.transforms.corruptions.filters import gaussian_filter, motion_blurred


@pytest.mark.parametrize(("mode", "truncate"), [("nearest", 4.0), ("reflect", 3.0)])
@pytest.mark.parametrize("sigma", [0, 0.1, 2.5, 90])  # the last reaches over several images
@pytest.mark.parametrize("size", [(130, 70), (5, 1)])
def test_the_gaussian_filter_is_that_of_scipy(mode: str, truncate: float, sigma: float, size: tuple[int, int]) -> None:
    images = pictures(2, *size).double()
    expected = ndimage.gaussian_filter(images.numpy(), (0, 0, sigma, sigma), mode=mode, truncate=truncate)
    for dtype, tolerance in [(torch.float64, 1e-11), (torch.float32, 2e-4)]:
        filtered = gaussian_filter(images.to(dtype), sigma, mode, truncate)
        assert filtered.dtype == dtype
        np.testing.assert_allclose(filtered.numpy(), expected, rtol=0, atol=tolerance)


def test_motion_is_that_of_imagemagick_in_every_direction() -> None:
    images = pictures(9, 60, 80)
    angles = torch.tensor([-179.5, -135, -90, -45.25, 0, 12.5, 45, 90, 141], dtype=torch.float64)
    blurred = motion_blurred(images, 10, 3, angles)
    assert blurred.dtype == torch.uint8
    pairs = zip(pixels(images), angles.tolist(), strict=True)
    expected = [reference.motion_blurred(image, 10, 3, angle) for image, angle in pairs]
    differences = np.abs(np.subtract(pixels(blurred), expected, dtype=int))
    assert differences.max() <= 1
    assert (differences > 0).mean() < 1e-3  # float32 on the boundary between two grey levels


def test_motion_repeats_the_border_where_the_line_leaves_the_image() -> None:
    row = torch.tensor([10, 20, 30, 250], dtype=torch.uint8).expand(1, 1, 3, 4)
    blurred = motion_blurred(row, 15, 1e6, torch.tensor([0.0]))  # equal weights for 31 pixels
    assert blurred[0, 0, 1].tolist() == [227, 235, 242, 250]  # 7060 / 31, 7300 / 31, 7530 / 31
    assert torch.equal(motion_blurred(row[..., :1], 15, 8, torch.tensor([30.0])), row[..., :1])
