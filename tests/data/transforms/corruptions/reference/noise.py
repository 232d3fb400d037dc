"""The noises of ImageNet-C for one image, as published, with today's numpy and scikit-image."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from skimage.util import random_noise

Image = NDArray[np.uint8]
Grey = NDArray[np.float64]


def gaussian_noise(image: Image, rng: np.random.Generator, sigma: float) -> Grey:
    x = image / 255
    return np.clip(x + rng.normal(size=x.shape, scale=sigma), 0, 1) * 255


def shot_noise(image: Image, rng: np.random.Generator, photons: float) -> Grey:
    x = image / 255
    return np.clip(rng.poisson(x * photons) / float(photons), 0, 1) * 255


def impulse_noise(image: Image, rng: np.random.Generator, amount: float) -> Grey:
    x = random_noise(image / 255, mode="s&p", rng=rng, amount=amount)
    return np.clip(x, 0, 1) * 255


def speckle_noise(image: Image, rng: np.random.Generator, sigma: float) -> Grey:
    x = image / 255
    return np.clip(x + x * rng.normal(size=x.shape, scale=sigma), 0, 1) * 255


REFERENCE = {
    "gaussian_noise": gaussian_noise,
    "shot_noise": shot_noise,
    "impulse_noise": impulse_noise,
    "speckle_noise": speckle_noise,
}
