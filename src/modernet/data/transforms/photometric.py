"""Photometric distortion of single images (Liu et al. 2015, "SSD"), with the ranges of OpenMMLab's segmenters."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

_BRIGHTNESS = 32.0  # grey levels, added
_CONTRAST = (0.5, 1.5)
_SATURATION = (0.5, 1.5)
_HUE = 18 / 180  # of the colour circle: OpenCV, in whose steps it is published, has 180

Bytes = NDArray[np.uint8]


def distort(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Change brightness, contrast, saturation and hue, each with probability 1/2, contrast before or after the colours.

    Args:
        image: uint8 (3, h, w)

    Returns:
        uint8 (3, h, w)
    """
    pixels: Bytes = image.permute(1, 2, 0).numpy()  # c h w -> h w c
    brighter, contrasted, contrast_last, saturated, turned = rng.random(5) < 0.5
    shift, contrast = rng.uniform(-_BRIGHTNESS, _BRIGHTNESS), rng.uniform(*_CONTRAST)
    saturation, turn = rng.uniform(*_SATURATION), rng.uniform(-_HUE, _HUE)
    if brighter:
        pixels = _linear(pixels, 1.0, shift)
    if contrasted and not contrast_last:
        pixels = _linear(pixels, contrast)
    if saturated or turned:
        hsv = np.array(Image.fromarray(np.ascontiguousarray(pixels)).convert("HSV"))
        if saturated:
            hsv[..., 1] = _linear(hsv[..., 1], saturation)
        if turned:
            hsv[..., 0] += np.uint8(round(turn * 256) % 256)  # wraps, as hues do
        pixels = np.array(Image.fromarray(hsv, "HSV").convert("RGB"))
    if contrasted and contrast_last:
        pixels = _linear(pixels, contrast)
    return torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)


def _linear(values: Bytes, factor: float, shift: float = 0.0) -> Bytes:
    return (values * np.float32(factor) + np.float32(shift)).clip(0, 255).astype(np.uint8)
