"""The ten corruptions of ImageNet-C-bar (Mintun, Kirillov and Xie 2021), in the order of its release.

Each has one parameter, the published strength s. Draws, constants and quirks are those of the release, which corrupts
squares of 224 pixels. Of other images, lengths are shares of the shorter side, and positions are drawn over the whole
image.
"""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from modernet.data.transforms.corruptions.bar.caustics import caustic_refraction
from modernet.data.transforms.corruptions.bar.checkerboard import checkerboard_cutout
from modernet.data.transforms.corruptions.bar.perlin import perlin_noise
from modernet.data.transforms.corruptions.bar.sparkles import inverse_sparkles, sparkles
from modernet.data.transforms.corruptions.bar.spectra import blue_noise_sample, brownish_noise
from modernet.data.transforms.corruptions.bar.waves import (
    cocentric_sine_waves,
    plasma_noise,
    single_frequency_greyscale,
)
from modernet.data.transforms.corruptions.corruption import CORRUPTIONS, Corruption


def _add(function: Callable[..., Tensor], *strengths: float) -> None:
    first, second, third, fourth, fifth = ((strength,) for strength in strengths)
    tables = {224: (first, second, third, fourth, fifth)}
    CORRUPTIONS.add(function.__name__, Corruption("cbar", function, tables))


_add(caustic_refraction, 2.35, 3.2, 4.9, 6.6, 9.15)
_add(inverse_sparkles, 1.0, 2.0, 4.0, 9.0, 10.0)
_add(sparkles, 1.0, 2.0, 3.0, 5.0, 6.0)
_add(perlin_noise, 4.6, 5.2, 5.8, 7.6, 8.8)
_add(blue_noise_sample, 0.8, 1.6, 2.4, 4.0, 5.6)
_add(plasma_noise, 4.75, 7.0, 8.5, 9.25, 10.0)
_add(checkerboard_cutout, 2.0, 3.0, 4.0, 5.0, 6.0)
_add(cocentric_sine_waves, 3.0, 5.0, 8.0, 9.0, 10.0)
_add(single_frequency_greyscale, 1.0, 1.5, 2.0, 4.5, 5.0)
_add(brownish_noise, 1.0, 2.0, 3.0, 4.0, 5.0)
