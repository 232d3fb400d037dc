"""The digital corruptions of ImageNet-C for one image, with today's numpy, PIL, scikit-image and OpenCV."""

from __future__ import annotations

from io import BytesIO

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pictures
from scipy.ndimage import map_coordinates
from skimage.color import hsv2rgb, rgb2hsv
from skimage.filters import gaussian

Image = NDArray[np.uint8]
Grey = NDArray[np.floating]


def contrast(image: Image, rng: np.random.Generator, share: float) -> Grey:
    x = image / 255
    means = np.mean(x, axis=(0, 1), keepdims=True)
    return np.clip((x - means) * share + means, 0, 1) * 255


def elastic_transform(
    image: Image, rng: np.random.Generator, side: int, strength: float, sigma: float, jitter: float
) -> Grey:
    x = np.array(image, dtype=np.float32) / 255
    h, w = x.shape[:2]
    center = np.array([w // 2, h // 2], dtype=np.float32)
    square = min(h, w) // 3
    points = np.float32([center + square, [center[0] + square, center[1] - square], center - square])
    moved = points + rng.uniform(-side * jitter, side * jitter, size=points.shape).astype(np.float32)
    affine = cv2.getAffineTransform(points, moved)
    x = cv2.warpAffine(x, affine, (w, h), borderMode=cv2.BORDER_REFLECT_101)

    dx, dy = (
        gaussian(rng.uniform(-1, 1, size=(h, w)), side * sigma, mode="reflect", truncate=3) * (side * strength)
        for _ in range(2)
    )
    columns, rows, channels = np.meshgrid(np.arange(w), np.arange(h), np.arange(3))
    positions = (
        (rows + dy.astype(np.float32)[..., np.newaxis]).reshape(-1, 1),
        (columns + dx.astype(np.float32)[..., np.newaxis]).reshape(-1, 1),
        channels.reshape(-1, 1),
    )
    return np.clip(map_coordinates(x, positions, order=1, mode="reflect").reshape(x.shape), 0, 1) * 255


def pixelate(image: Image, rng: np.random.Generator, share: float) -> Image:
    h, w = image.shape[:2]
    small = Pictures.fromarray(image).resize((int(w * share), int(h * share)), Pictures.Resampling.BOX)
    return np.array(small.resize((w, h), Pictures.Resampling.BOX))


def jpeg_compression(image: Image, rng: np.random.Generator, quality: int) -> Image:
    file = BytesIO()
    Pictures.fromarray(image).save(file, "JPEG", quality=quality)
    return np.array(Pictures.open(file))


def saturate(image: Image, rng: np.random.Generator, factor: float, amount: float) -> Grey:
    x = rgb2hsv(image / 255)
    x[..., 1] = np.clip(x[..., 1] * factor + amount, 0, 1)
    return np.clip(hsv2rgb(x), 0, 1) * 255


REFERENCE = {
    "contrast": contrast,
    "elastic_transform": elastic_transform,
    "pixelate": pixelate,
    "jpeg_compression": jpeg_compression,
    "saturate": saturate,
}
