"""The weather of ImageNet-C for one image, as published, with today's numpy, scipy, scikit-image and OpenCV.

Normal numbers are drawn as float32, and frost pictures are given, so that both can be those of modernet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray
from skimage.color import hsv2rgb, rgb2hsv
from skimage.filters import gaussian

from data.transforms.corruptions.reference.blur import clipped_zoom
from modernet.data.transforms.corruptions.frost_pictures import frost_picture

Image = NDArray[np.uint8]
Grey = NDArray[np.floating]


def normal(rng: np.random.Generator, mean: float, deviation: float, shape: tuple[int, ...]) -> NDArray[np.float64]:
    return mean + deviation * rng.standard_normal(shape, dtype=np.float32).astype(np.float64)


def motion_blurred(image: Image, radius: int, sigma: float, angle: float) -> Image:
    """ImageMagick's, with 16 bits a channel, of one channel, (h, w)."""
    h, w = image.shape
    kernel = np.exp(-(np.arange(2 * radius + 1) ** 2) / (2 * sigma**2))
    kernel /= kernel.sum()
    reach = 2 * radius + 1
    padded = np.pad(image.astype(float), reach, mode="edge")
    blurred = np.zeros((h, w))
    for i, weight in enumerate(kernel):
        down = reach + math.ceil(i * math.sin(math.radians(angle)) - 0.5)
        right = reach + math.ceil(i * math.cos(math.radians(angle)) - 0.5)
        blurred += weight * padded[down : down + h, right : right + w]
    return (np.rint(257 * blurred) // 257).astype(np.uint8)


def snow(
    image: Image,
    rng: np.random.Generator,
    mean: float,
    deviation: float,
    factor: float,
    threshold: float,
    radius: int,
    sigma: float,
    share: float,
) -> Grey:
    x = np.array(image, dtype=np.float32) / 255
    layer = clipped_zoom(normal(rng, mean, deviation, x.shape[:2])[..., np.newaxis], factor)
    layer[layer < threshold] = 0
    layer = (np.clip(layer.squeeze(-1), 0, 1) * 255).astype(np.uint8)
    layer = motion_blurred(layer, radius, sigma, rng.uniform(-135, -45))[..., np.newaxis] / 255
    grey = cv2.cvtColor(x, cv2.COLOR_RGB2GRAY)[..., np.newaxis]
    x = share * x + (1 - share) * np.maximum(x, grey * 1.5 + 0.5)
    return np.clip(x + layer + np.rot90(layer, k=2), 0, 1) * 255


def frost(
    image: Image,
    rng: np.random.Generator,
    share: float,
    strength: float,
    scale: float,
    pictures: Sequence[Image] | None = None,
) -> Grey:
    index = rng.integers(5)
    picture = pictures[index] if pictures else frost_picture(None, int(index), scale).numpy()
    h, w = image.shape[:2]
    top = rng.integers(0, picture.shape[0] - h)
    left = rng.integers(0, picture.shape[1] - w)
    return np.clip(share * image + strength * picture[top : top + h, left : left + w], 0, 255)


def plasma(rng: np.random.Generator, side: int, decay: float) -> NDArray[np.float64]:
    points = np.zeros((side, side))
    step, wibble = side, 100.0

    def with_noise(sums: NDArray[np.float64]) -> NDArray[np.float64]:
        return sums / 4 + wibble * rng.uniform(-wibble, wibble, sums.shape)

    while step >= 2:
        half = step // 2
        corners = points[::step, ::step]
        sums = corners + np.roll(corners, -1, axis=0)
        points[half::step, half::step] = with_noise(sums + np.roll(sums, -1, axis=1))
        centers = points[half::step, half::step]
        sums = (centers + np.roll(centers, 1, axis=0)) + (corners + np.roll(corners, -1, axis=1))
        points[::step, half::step] = with_noise(sums)
        sums = (centers + np.roll(centers, 1, axis=1)) + (corners + np.roll(corners, -1, axis=0))
        points[half::step, ::step] = with_noise(sums)
        step, wibble = half, wibble / decay
    points -= points.min()
    return points / points.max()


def fog(image: Image, rng: np.random.Generator, strength: float, decay: float, side: int) -> Grey:
    x = image / 255
    most = x.max()
    x += strength * plasma(rng, side, decay)[: x.shape[0], : x.shape[1], np.newaxis]
    return np.clip(x * most / (most + strength), 0, 1) * 255


def brightness(image: Image, rng: np.random.Generator, amount: float) -> Grey:
    x = rgb2hsv(image / 255)
    x[..., 2] = np.clip(x[..., 2] + amount, 0, 1)
    return np.clip(hsv2rgb(x), 0, 1) * 255


def spatter(
    image: Image,
    rng: np.random.Generator,
    mean: float,
    deviation: float,
    sigma: float,
    threshold: float,
    amount: float,
    mud: bool,
) -> Grey:
    x = np.array(image, dtype=np.float32) / 255
    layer = gaussian(normal(rng, mean, deviation, x.shape[:2]), sigma=sigma)
    layer[layer < threshold] = 0
    if mud:
        m = gaussian(np.where(layer > threshold, 1, 0).astype(np.float32), sigma=amount)
        m[m < 0.8] = 0
        m = m[..., np.newaxis]
        color = np.array([63, 42, 20], dtype=np.float32) / 255
        return np.clip(x * (1 - m) + color * m, 0, 1) * 255
    layer = (layer * 255).astype(np.uint8)
    distance = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
    _, distance = cv2.threshold(distance, 20, 20, cv2.THRESH_TRUNC)
    distance = cv2.equalizeHist(cv2.blur(distance, (3, 3)).astype(np.uint8))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype=np.float32)
    distance = cv2.blur(cv2.filter2D(distance, cv2.CV_8U, emboss), (3, 3)).astype(np.float32)
    m = (layer * distance)[..., np.newaxis]
    m = m / np.max(m) * np.float32(amount)
    color = np.array([175, 238, 238], dtype=np.float32) / 255
    return np.clip(x + m * color, 0, 1) * 255


REFERENCE = {"snow": snow, "frost": frost, "fog": fog, "brightness": brightness, "spatter": spatter}
