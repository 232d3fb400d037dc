"""Frost is of the published pictures, or of synthesised ones that resemble them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter

from data.transforms.corruptions.pictures import pictures, pixels
from data.transforms.corruptions.reference.weather import frost
from modernet.data.transforms.corruptions import CORRUPTIONS, Corrupt
from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.frost_pictures import FILES, covering, frost_picture
from modernet.errors import InputError


@pytest.mark.data("frost")
@pytest.mark.parametrize("table", [32, 64, 224])
def test_the_published_pictures_give_the_published_frost(data_folder: Path, table: int) -> None:
    keys, images = range(12), pictures(12, 40, 30)
    *shares, scale = CORRUPTIONS["frost"].parameters(3, table)
    files = [cv2.imread(str(data_folder / name))[..., ::-1] for name in FILES[:5]]
    scaled = [cv2.resize(file, (0, 0), fx=scale, fy=scale) for file in files]
    streams = ImageChance(0, "frost 3", keys, images.device).streams
    ours = pixels(Corrupt("frost", 3, table=table, frost=data_folder)(images, keys))
    for image, stream, corrupted in zip(pixels(images), streams, ours, strict=True):
        expected = frost(image, stream, *shares, scale, pictures=scaled).astype(np.uint8)
        most = 1 if scale == 0.3 else 0  # OpenCV rounds twice
        assert np.abs(np.subtract(corrupted, expected, dtype=int)).max() <= most


def test_a_folder_without_the_pictures_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "frost1.png").touch()
    with pytest.raises(InputError, match=r"has no frost2\.png, .*, frost6\.jpg; give the folder of ImageNet-C's six"):
        Corrupt("frost", 1, frost=tmp_path)(pictures(1, 30, 40))


def power_slope(grey: np.ndarray) -> float:
    """Return the exponent with which the mean power of a square falls with frequency."""
    side = len(grey)
    window = np.hanning(side)
    power = np.abs(np.fft.fft2((grey - grey.mean()) * window * window[:, None])) ** 2
    frequency = np.hypot(np.fft.fftfreq(side), np.fft.fftfreq(side)[:, None])
    edges = np.geomspace(4 / side, 0.4, 14)
    bands = [power[(low <= frequency) & (frequency < high)].mean() for low, high in pairwise(edges)]
    return float(np.polyfit(np.log(edges[1:]), np.log(bands), 1)[0])


@pytest.mark.parametrize(
    ("index", "means", "deviation"),
    [(0, (78, 149, 166), 18), (1, (201, 205, 214), 22), (3, (138, 153, 165), 29), (4, (112, 123, 135), 43)],
)
def test_synthesised_frost_resembles_the_published(index: int, means: tuple[int, ...], deviation: int) -> None:
    picture = frost_picture(None, index, 1).double()
    assert picture.mean((0, 1)).tolist() == pytest.approx(means, abs=2)
    assert picture.std((0, 1)).tolist() == pytest.approx([deviation] * 3, abs=2)
    grey = picture.mean(2).numpy()
    assert -1.9 < power_slope(grey[:300, :300]) < -1.3  # as measured on the published ones
    blurred = [grey, *(gaussian_filter(grey, scale) for scale in (1, 2, 4, 8, 16, 32, 64)), 0]
    shares = [(finer - coarser).std() / grey.std() for finer, coarser in pairwise(blurred)]
    assert shares == pytest.approx((0.36, 0.19, 0.17, 0.15, 0.13, 0.12, 0.14, 0.53), rel=0.45)  # means of the published


@pytest.mark.parametrize("size", [(700, 300), (361, 2), (3, 1001)])
def test_pictures_are_enlarged_to_cover_large_images(size: tuple[int, int]) -> None:
    picture = frost_picture(None, 0, 1)
    cover = covering(picture, *size)
    assert all(length >= side for length, side in zip(cover.shape, size, strict=False))
    assert cover.shape[0] / cover.shape[1] == pytest.approx(picture.shape[0] / picture.shape[1], rel=0.01)
    assert torch.equal(covering(picture, 10, 20), picture)
