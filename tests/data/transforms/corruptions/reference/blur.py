"""The blurs of ImageNet-C for one image, as published, with today's numpy, scipy, scikit-image and OpenCV."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import zoom
from skimage.filters import gaussian

Image = NDArray[np.uint8]
Grey = NDArray[np.floating]


def disk(radius: float, alias_blur: float) -> NDArray[np.float32]:
    if radius <= 8:
        line, ksize = np.arange(-8, 8 + 1), (3, 3)
    else:
        line, ksize = np.arange(-radius, radius + 1), (5, 5)
    x, y = np.meshgrid(line, line)
    aliased = np.array((x**2 + y**2) <= radius**2, dtype=np.float32)
    aliased /= np.sum(aliased)
    return cv2.GaussianBlur(aliased, ksize=ksize, sigmaX=alias_blur)


def defocus_blur(image: Image, rng: np.random.Generator, radius: float, alias_blur: float) -> Grey:
    x = image / 255
    kernel = disk(radius, alias_blur)
    channels = [cv2.filter2D(x[:, :, channel], -1, kernel) for channel in range(3)]
    return np.clip(np.stack(channels, -1), 0, 1) * 255


def glass_blur(image: Image, rng: np.random.Generator, sigma: float, reach: int, iterations: int) -> Grey:
    x = np.uint8(gaussian(image / 255, sigma=sigma, channel_axis=-1) * 255)
    for _ in range(iterations):
        for h in range(image.shape[0] - reach, reach, -1):
            for w in range(image.shape[1] - reach, reach, -1):
                dx, dy = rng.integers(-reach, reach, size=2)
                h_other, w_other = h + dy, w + dx
                # meant as a swap; both sides are views of the image, so it is a copy
                x[h, w], x[h_other, w_other] = x[h_other, w_other], x[h, w]
    return np.clip(gaussian(x / 255, sigma=sigma, channel_axis=-1), 0, 1) * 255


def shifted(image: Grey, dx: int, dy: int) -> Grey:
    if dx < 0:
        moved = np.roll(image, shift=dx, axis=1)
        moved[:, dx:] = moved[:, dx - 1 : dx]
    elif dx > 0:
        moved = np.roll(image, shift=dx, axis=1)
        moved[:, :dx] = moved[:, dx : dx + 1]
    else:
        moved = image
    if dy < 0:
        moved = np.roll(moved, shift=dy, axis=0)
        moved[dy:] = moved[dy - 1 : dy]
    elif dy > 0:
        moved = np.roll(moved, shift=dy, axis=0)
        moved[:dy] = moved[dy : dy + 1]
    return moved


def motion_blurred(image: Image, radius: int, sigma: float, angle: float) -> NDArray[np.uint8]:
    """ImageMagick's motion blur with 16 bits a channel; 8 bits in and out. The line must fit into the image."""
    width = 2 * radius + 1
    kernel = np.exp(-(np.arange(width) ** 2) / (2 * sigma**2))
    kernel /= np.sum(kernel)
    point = width * math.sin(math.radians(angle)), width * math.cos(math.radians(angle))
    hypot = math.hypot(*point)
    blurred = np.zeros(image.shape)
    for i in range(width):
        dy = -math.ceil(i * point[0] / hypot - 0.5)
        dx = -math.ceil(i * point[1] / hypot - 0.5)
        blurred = blurred + kernel[i] * shifted(image, dx, dy)
    quanta = np.rint(257 * blurred)
    return (quanta // 257).astype(np.uint8)


def motion_blur(image: Image, rng: np.random.Generator, radius: int, sigma: float) -> NDArray[np.uint8]:
    return motion_blurred(image, radius, sigma, rng.uniform(-45, 45))


def clipped_zoom(x: Grey, factor: float) -> Grey:
    h, w = x.shape[:2]
    crop_h, crop_w = math.ceil(h / factor), math.ceil(w / factor)
    top, left = (h - crop_h) // 2, (w - crop_w) // 2
    zoomed = zoom(x[top : top + crop_h, left : left + crop_w], (factor, factor, 1), order=1)
    top, left = (zoomed.shape[0] - h) // 2, (zoomed.shape[1] - w) // 2
    return zoomed[top : top + h, left : left + w]


def zoom_blur(image: Image, rng: np.random.Generator, stop: float, step: float) -> Grey:
    factors = np.arange(1, stop, step)
    x = (image / 255).astype(np.float32)
    out = np.zeros_like(x)
    for factor in factors:
        out += clipped_zoom(x, factor)
    return np.clip((x + out) / (len(factors) + 1), 0, 1) * 255


def gaussian_blur(image: Image, rng: np.random.Generator, sigma: float) -> Grey:
    return np.clip(gaussian(image / 255, sigma=sigma, channel_axis=-1), 0, 1) * 255


REFERENCE = {
    "defocus_blur": defocus_blur,
    "glass_blur": glass_blur,
    "motion_blur": motion_blur,
    "zoom_blur": zoom_blur,
    "gaussian_blur": gaussian_blur,
}
