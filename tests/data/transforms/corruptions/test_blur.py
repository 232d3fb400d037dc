"""The blurs of ImageNet-C are those of the published code, its quirks included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from data.transforms.corruptions.pictures import pictures, pixels
from data.transforms.corruptions.reference.blur import REFERENCE, disk
from modernet.data.transforms.corruptions import CORRUPTIONS, SEVERITIES, Corrupt, blur
from modernet.data.transforms.corruptions.blur import copied_in_turn, disc
from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.filters import separable

# mean change of a value of `pictures(1, 64, 50)` at severities 1 to 5 by the published code, for each published size
STRENGTHS: dict[str, dict[int, tuple[float, ...]]] = {
    "defocus_blur": {
        32: (0.935, 2.007, 2.876, 4.134, 4.703),
        64: (2.876, 4.116, 4.703, 5.591, 6.226),
        224: (6.226, 7.597, 11.469, 16.035, 22.280),
        299: (7.460, 9.568, 13.470, 22.280, 27.758),
    },
    "glass_blur": {
        32: (7.373, 6.949, 7.042, 11.395, 11.124),
        64: (7.373, 6.736, 10.541, 9.518, 14.660),
        224: (10.761, 9.574, 19.423, 16.938, 18.751),
        299: (14.804, 11.725, 24.355, 19.804, 21.142),
    },
    "motion_blur": {
        32: (5.236, 6.909, 8.789, 9.498, 11.059),
        64: (5.236, 6.909, 8.789, 11.965, 13.289),
        224: (15.032, 23.036, 30.957, 43.011, 45.916),
        299: (19.365, 26.754, 33.524, 44.886, 47.621),
    },
    "zoom_blur": {
        32: (5.225, 7.202, 8.932, 11.184, 13.463),
        64: (5.225, 7.202, 8.932, 11.184, 13.463),
        224: (7.202, 8.932, 10.992, 12.786, 14.893),
        299: (7.202, 8.932, 10.992, 12.786, 14.893),
    },
    "gaussian_blur": {
        32: (0.967, 2.896, 3.523, 3.951, 4.590),
        64: (2.033, 3.771, 4.590, 5.235, 5.857),
        224: (4.590, 7.246, 10.851, 15.360, 25.232),
        299: (5.857, 8.932, 13.018, 17.800, 27.611),
    },
}


def differences(name: str, severity: int, table: int, images: torch.Tensor) -> tuple[np.ndarray, float]:
    """Return how far we are from the published code given the same draws, and by how much that changes a value."""
    keys = list(range(len(images)))
    streams = ImageChance(0, f"{name} {severity}", keys, images.device).streams
    parameters = CORRUPTIONS[name].parameters(severity, table)
    pairs = list(zip(pixels(images), streams, strict=True))
    expected = [REFERENCE[name](image, rng, *parameters).astype(np.uint8) for image, rng in pairs]
    ours = pixels(Corrupt(name, severity, table=table)(images, keys))
    change = np.abs(np.subtract(expected, pixels(images), dtype=int)).mean()
    return np.abs(np.subtract(ours, expected, dtype=int)), float(change)


@pytest.mark.parametrize("table", [32, 64, 224, 299])
@pytest.mark.parametrize("name", REFERENCE)
def test_blurs_are_those_of_the_published_code(name: str, table: int) -> None:
    images = pictures(1, 64, 50)
    for severity, strength in zip(SEVERITIES, STRENGTHS[name][table], strict=True):
        difference, change = differences(name, severity, table, images)
        assert difference.max() <= 1
        assert (difference > 0).mean() < 1e-3  # float32 on the boundary between two grey levels
        assert change == pytest.approx(strength, abs=0.002)


@pytest.mark.parametrize("name", ["defocus_blur", "motion_blur", "zoom_blur", "gaussian_blur"])
def test_blurs_of_large_images_are_those_of_the_published_code(name: str) -> None:
    difference, _ = differences(name, 3, 224, pictures(1, 224, 224))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def test_discs_are_not_normalised_again() -> None:
    published = CORRUPTIONS["defocus_blur"].tables[224]
    sums = [float(disc(*parameters).sum(dtype=float)) for parameters in published]
    assert sums == pytest.approx([1, 1, 1, 1.0130, 1.0108], abs=5e-5)
    for parameters in [*published, (0.3, 0.4), (2.5, 0.01), (12, 0.5)]:
        np.testing.assert_allclose(disc(*parameters), disk(*parameters), rtol=3e-7)
    assert (disc(0.5, 0.1) > 1e-6).sum() == 1


def test_zooms_are_as_many_as_rounding_makes_them(monkeypatch: pytest.MonkeyPatch) -> None:
    images, zooms = pictures(1, 64, 50), []

    def counted(*arguments: Any) -> torch.Tensor:
        zooms.append(severity)
        return separable(*arguments)

    monkeypatch.setattr(blur, "separable", counted)
    for severity in SEVERITIES:
        Corrupt("zoom_blur", severity, table=224)(images)
    assert [zooms.count(severity) for severity in SEVERITIES] == [12, 16, 11, 13, 11]


@pytest.mark.parametrize(("reach", "iterations", "left"), [(1, 2, 0.54), (2, 3, 0.28), (4, 2, 0.32)])
def test_glass_copies_pixels(reach: int, iterations: int, left: float) -> None:
    """The shares of pixels that are left at severities 1, 3 and 5; after swaps all of them are."""
    numbers = torch.arange(224**2)
    images = torch.stack([numbers % 256, numbers // 256, numbers * 0]).to(torch.uint8).view(1, 3, 224, 224)
    lines = torch.arange(224 - reach, reach, -1)
    chance = ImageChance(0, "glass", [0], images.device)
    for _ in range(iterations):
        moves = chance.integers(-reach, reach, len(lines), len(lines), 2)
        images = copied_in_turn(images, lines, lines, moves)
    colours = images.flatten(2).unique(dim=2).shape[2]
    assert colours / 224**2 == pytest.approx(left, abs=0.01)


def test_glass_only_blurs_images_that_are_too_small() -> None:
    images = pictures(1, 40, 4)
    moved = Corrupt("glass_blur", 2, table=224)(images, [0])
    assert torch.equal(moved, Corrupt("glass_blur", 2, table=224)(images, [1]))
    assert not torch.equal(*(Corrupt("glass_blur", 2, table=224)(pictures(1, 40, 5), [key]) for key in (0, 1)))
