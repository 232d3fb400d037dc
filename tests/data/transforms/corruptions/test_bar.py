"""The corruptions of ImageNet-C-bar equal the published definitions, given the same draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from data.transforms.corruptions.pictures import pictures, pixels
from data.transforms.corruptions.reference.bar import REFERENCE
from modernet.data.transforms.corruptions import SEVERITIES, Corrupt, suite_names
from modernet.data.transforms.corruptions.chance import ImageChance

STRENGTHS = {  # as released
    "caustic_refraction": (2.35, 3.2, 4.9, 6.6, 9.15),
    "inverse_sparkles": (1.0, 2.0, 4.0, 9.0, 10.0),
    "sparkles": (1.0, 2.0, 3.0, 5.0, 6.0),
    "perlin_noise": (4.6, 5.2, 5.8, 7.6, 8.8),
    "blue_noise_sample": (0.8, 1.6, 2.4, 4.0, 5.6),
    "plasma_noise": (4.75, 7.0, 8.5, 9.25, 10.0),
    "checkerboard_cutout": (2.0, 3.0, 4.0, 5.0, 6.0),
    "cocentric_sine_waves": (3.0, 5.0, 8.0, 9.0, 10.0),
    "single_frequency_greyscale": (1.0, 1.5, 2.0, 4.5, 5.0),
    "brownish_noise": (1.0, 2.0, 3.0, 4.0, 5.0),
}

# float32, instead of float64, changes a value that is nearly a whole number by one grey level; more only where an
# operation jumps: rings drop at their edge, offsets by refraction are rounded and begin with a jump
JUMPS = {"caustic_refraction", "cocentric_sine_waves"}
FIRST_KEY = 8  # no ring is thinner than a fifth of a pixel then; those have a test of their own


def differences(name: str, severity: int, images: Tensor, first_key: int = FIRST_KEY) -> np.ndarray:
    """Return the differences of grey levels to the reference, which draws from the same streams."""
    keys = range(first_key, first_key + len(images))
    ours = Corrupt(name, severity)(images, keys)
    streams = ImageChance(0, f"{name} {severity}", keys, images.device).streams
    strength = STRENGTHS[name][severity - 1]
    theirs = [REFERENCE[name](image, stream, strength) for image, stream in zip(pixels(images), streams, strict=True)]
    return np.abs(np.subtract(pixels(ours), theirs, dtype=int))


def test_the_suite_is_complete() -> None:
    assert suite_names("cbar") == list(STRENGTHS) == list(REFERENCE)


@pytest.mark.parametrize("size", [(64, 64), (33, 33), (37, 90), (52, 41)])
@pytest.mark.parametrize("severity", SEVERITIES)
@pytest.mark.parametrize("name", STRENGTHS)
def test_they_are_as_published(name: str, severity: int, size: tuple[int, int]) -> None:
    off = differences(name, severity, pictures(3, *size))
    assert (off > 0).mean() < 1e-3
    assert (off > 1).mean() <= (5e-4 if name in JUMPS else 0)


@pytest.mark.parametrize("name", STRENGTHS)
def test_they_are_as_published_at_the_published_size(name: str) -> None:
    off = differences(name, 3, pictures(2, 224, 224))
    assert (off > 0).mean() < 1e-3
    assert (off > 1).mean() <= (5e-5 if name in JUMPS else 0)


def test_rings_much_thinner_than_a_pixel_are_as_published() -> None:
    """Rounding decides about more pixels there, but still about few."""

    def ring(key: int) -> float:
        chance = ImageChance(0, "cocentric_sine_waves 5", [key], torch.device("cpu"))
        chance.uniform(0, 1, 4)
        return float(chance.uniform(0, 22.4))

    key = next(key for key in range(1000) if ring(key) < 0.1)
    off = differences("cocentric_sine_waves", 5, pictures(1, 224, 224), key)
    assert (off > 0).mean() < 0.03
    assert (off > 1).mean() < 1e-3


def test_one_pixel_has_no_spectrum() -> None:
    images = pictures(3, 1, 1)
    assert torch.equal(Corrupt("brownish_noise", 5)(images), images)
