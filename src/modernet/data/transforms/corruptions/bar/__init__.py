"""The ten corruptions of ImageNet-C-bar (Mintun, Kirillov and Xie 2021), in the order of its release.

Each has one parameter, the published strength s. Draws, constants and quirks are those of the release, which corrupts
squares of 224 pixels. Of other images, lengths are shares of the shorter side, and positions are drawn over the whole
image.
"""

from __future__ import annotations

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

_STRENGTHS = {
    caustic_refraction: (2.35, 3.2, 4.9, 6.6, 9.15),
    inverse_sparkles: (1.0, 2.0, 4.0, 9.0, 10.0),
    sparkles: (1.0, 2.0, 3.0, 5.0, 6.0),
    perlin_noise: (4.6, 5.2, 5.8, 7.6, 8.8),
    blue_noise_sample: (0.8, 1.6, 2.4, 4.0, 5.6),
    plasma_noise: (4.75, 7.0, 8.5, 9.25, 10.0),
    checkerboard_cutout: (2.0, 3.0, 4.0, 5.0, 6.0),
    cocentric_sine_waves: (3.0, 5.0, 8.0, 9.0, 10.0),
    single_frequency_greyscale: (1.0, 1.5, 2.0, 4.5, 5.0),
    brownish_noise: (1.0, 2.0, 3.0, 4.0, 5.0),
}

for _function, (_1, _2, _3, _4, _5) in _STRENGTHS.items():
    CORRUPTIONS.add(
        _function.__name__, Corruption("cbar", "bar", _function, {224: ((_1,), (_2,), (_3,), (_4,), (_5,))})
    )
