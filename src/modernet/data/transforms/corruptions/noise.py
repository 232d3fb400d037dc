"""The noises of ImageNet-C (Hendrycks and Dietterich 2019)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.corruption import CORRUPTIONS, Corruption
from modernet.data.transforms.corruptions.levels import truncated

_CELLS = 256  # per grey level, of the index of thresholds


def gaussian_noise(images: Tensor, chance: ImageChance, sigma: float) -> Tensor:
    """Add N(0, `sigma`²) to each channel value, `sigma` of the range 0 to 1."""
    return torch.cat(
        [truncated(draws.noise(*part.shape[1:]).mul_(255 * sigma).add_(part)) for part, draws in chance.parts(images)]
    )


def shot_noise(images: Tensor, chance: ImageChance, photons: int) -> Tensor:
    """Replace each channel value x, of the range 0 to 1, by Poisson(x `photons`) / `photons`: few photons are noisy.

    The counts are drawn by inverting their distribution at a uniform number.
    """
    thresholds, levels, index = (table.to(images.device) for table in _poisson(photons))
    noisy = []
    for part, draws in chance.parts(images):
        # below 1 by enough that the sum with a grey level is never rounded up to the next one
        points = draws.uniform(0, 1 - 2**-40, *part.shape[1:]).add_(part).flatten()
        found = index.index_select(0, (points * _CELLS).int())
        behind = (points >= thresholds.index_select(0, found)).nonzero()[:, 0]
        while len(behind):
            found[behind] += 1
            behind = behind[points[behind] >= thresholds[found[behind]]]
        noisy.append(levels.index_select(0, found).view(part.shape))
    return torch.cat(noisy)


@lru_cache(maxsize=16)
def _poisson(photons: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the tables by which a grey level v and a uniform u < 1 give the noisy level.

    It is `levels[i]`, where i is the first index with v + u < `thresholds[i]`; the search starts at or before it, at
    `index[floor((v + u) _CELLS)]`. Counts of `photons` and more are one, since all of them are white.
    """
    from scipy import special

    counts = np.arange(photons + 1)
    grey = np.arange(256)[:, None]
    below = special.pdtr(counts, grey / 255 * photons)  # P(count <= k) of each grey level
    below[:, -1] = 1
    thresholds = (grey + below).ravel()
    index = np.searchsorted(thresholds, np.arange(256 * _CELLS) / _CELLS, side="right")
    levels = np.tile((counts / photons * 255).astype(np.uint8), 256)
    return torch.from_numpy(thresholds), torch.from_numpy(levels), torch.from_numpy(index.astype(np.int32))


def impulse_noise(images: Tensor, chance: ImageChance, share: float) -> Tensor:
    """Replace a share of the channel values, each by itself, half of them by 255 and half by 0."""
    noisy = []
    for part, draws in chance.parts(images):
        h, w = part.shape[2:]
        uniform = draws.uniform(0, 1, h, w, 3).permute(0, 3, 1, 2)  # in the memory order of decoded images
        white = (uniform < share / 2).to(torch.uint8) * 255
        noisy.append(
            (part * (uniform >= share)).add_(white)
        )  # masked_fill takes 10 times longer where masks are random
    return torch.cat(noisy)


def speckle_noise(images: Tensor, chance: ImageChance, sigma: float) -> Tensor:
    """Add x N(0, `sigma`²) to each channel value x."""
    return torch.cat(
        [truncated(draws.noise(*part.shape[1:]).mul_(sigma).add_(1).mul_(part)) for part, draws in chance.parts(images)]
    )


CORRUPTIONS.add(
    "gaussian_noise",
    Corruption(
        "c",
        gaussian_noise,
        {
            32: ((0.04,), (0.06,), (0.08,), (0.09,), (0.10,)),
            64: ((0.04,), (0.08,), (0.12,), (0.15,), (0.18,)),
            224: ((0.08,), (0.12,), (0.18,), (0.26,), (0.38,)),
            299: ((0.09,), (0.13,), (0.19,), (0.27,), (0.40,)),
        },
    ),
)
CORRUPTIONS.add(
    "shot_noise",
    Corruption(
        "c",
        shot_noise,
        {
            32: ((500,), (250,), (100,), (75,), (50,)),
            64: ((250,), (100,), (50,), (30,), (15,)),
            224: ((60,), (25,), (12,), (5,), (3,)),
            299: ((50,), (20,), (10,), (5,), (3,)),
        },
    ),
)
CORRUPTIONS.add(
    "impulse_noise",
    Corruption(
        "c",
        impulse_noise,
        {
            32: ((0.01,), (0.02,), (0.03,), (0.05,), (0.07,)),
            64: ((0.01,), (0.02,), (0.05,), (0.08,), (0.14,)),
            224: ((0.03,), (0.06,), (0.09,), (0.17,), (0.27,)),
            299: ((0.04,), (0.07,), (0.10,), (0.18,), (0.28,)),
        },
    ),
)
CORRUPTIONS.add(
    "speckle_noise",
    Corruption(
        "extra",
        speckle_noise,
        {
            32: ((0.06,), (0.10,), (0.12,), (0.16,), (0.20,)),
            64: ((0.15,), (0.20,), (0.25,), (0.30,), (0.35,)),
            224: ((0.15,), (0.20,), (0.35,), (0.45,), (0.60,)),
            299: ((0.16,), (0.21,), (0.36,), (0.46,), (0.61,)),
        },
    ),
)
