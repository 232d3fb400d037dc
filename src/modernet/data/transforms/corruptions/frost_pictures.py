"""Pictures of frost: the published photographs, or synthesised ones in their place."""

from __future__ import annotations

import math
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image, ImageDraw
from torch import Tensor

from modernet.errors import InputError

FILES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg", "frost6.jpg")

_LOOKS = (
    ((78, 149, 166), 18),
    ((201, 205, 214), 22),
    ((201, 205, 214), 22),
    ((138, 153, 165), 29),
    ((112, 123, 135), 43),
)
"""Means of red, green and blue, and standard deviation of grey, of the published pictures 1 to 5; 2 and 3 are equal."""
_SIZE = (360, 560)  # rows and columns of a synthesised picture; the published ones have 315 x 560 to 600 x 900


@lru_cache(maxsize=32)
def frost_picture(folder: Path | None, index: int, scale: float) -> Tensor:
    """Return a picture of frost, uint8 (h, w, 3).

    Args:
        folder: with the published files; None synthesises pictures that resemble them: feathers of ice over noise and
            uneven light, with the means and the standard deviation of the published picture of the same index. The
            power of grey falls as frequency to the power of about -1.6; in the published ones, -1.3 to -1.9. Of the
            deviation each octave of scales has about the share that it has there.
        index: 0 to 4, of which 1 and 2 are the same photograph; the sixth picture is published but was never drawn.
        scale: of both sides, as OpenCV resizes bilinearly (no antialiasing), within one grey level.

    Raises:
        InputError: the folder does not have the published files.
    """
    if folder is None:
        picture = _synthesised(index)
    else:
        check_frost(folder)
        picture = np.array(Image.open(folder / FILES[index]).convert("RGB"))
    pixels = torch.from_numpy(picture)
    return pixels if scale == 1 else _resized(pixels, scale)


def check_frost(folder: Path) -> None:
    """Check that a folder has the published files.

    Raises:
        InputError: it has not.
    """
    missing = [name for name in FILES if not (folder / name).is_file()]
    if missing:
        raise InputError(
            f"{folder} has no {', '.join(missing)}; give the folder of ImageNet-C's six pictures of frost, or none to "
            "synthesise frost"
        )


def covering(picture: Tensor, h: int, w: int) -> Tensor:
    """Return a picture, uint8 (h, w, 3), enlarged until it covers h x w pixels; itself if it does."""
    scale = max(h / picture.shape[0], w / picture.shape[1])
    return picture if scale <= 1 else _resized(picture, scale * (1 + 1e-9))  # not a pixel short by rounding


def _resized(picture: Tensor, scale: float) -> Tensor:
    pixels = picture.permute(2, 0, 1)[None].float()
    resized = F.interpolate(pixels, scale_factor=scale, mode="bilinear", recompute_scale_factor=False)
    return resized[0].round().to(torch.uint8).permute(1, 2, 0).contiguous()


def _synthesised(index: int) -> np.ndarray:
    """Draw feathers of ice over noise, in uneven light, uint8 (h, w, 3)."""
    random = np.random.default_rng(index)
    h, w = _SIZE
    canvas = Image.new("L", (w, h), 90)
    pen = ImageDraw.Draw(canvas)
    for _ in range(160):
        _draw_feather(pen, random, random.uniform((0, 0), (w, h)))
    crystals = np.asarray(canvas, dtype=float)
    noise, light = (_noise(random, exponent) for exponent in (0.8, 3.0))
    grey = sum(share * part / part.std() for share, part in ((1.2, crystals), (0.5, noise), (1.2, light)))
    means, deviation = _LOOKS[index]
    grey = (grey - grey.mean()) / grey.std() * deviation
    picture: np.ndarray = (np.array(means) + grey[..., None]).clip(0, 255).round().astype(np.uint8)
    return picture


def _noise(random: np.random.Generator, exponent: float) -> np.ndarray:
    """Return noise whose amplitude falls with frequency to a power."""
    h, w = _SIZE
    frequencies = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w))
    frequencies[0, 0] = np.inf  # no offset
    noise: np.ndarray = np.fft.irfft2(np.fft.rfft2(random.standard_normal(_SIZE)) / frequencies**exponent, s=_SIZE)
    return noise


def _draw_feather(pen: ImageDraw.ImageDraw, random: np.random.Generator, root: np.ndarray) -> None:
    """Draw a stem with barbs that get shorter towards its tip."""
    length, angle, spread = random.uniform(25, 110), random.uniform(0, 2 * math.pi), random.uniform(0.5, 1.0)
    brightness = random.uniform(110, 230)
    direction = np.array([math.cos(angle), math.sin(angle)])
    for along in np.arange(0, length, 8):
        start = root + along * direction
        for side in (-spread, spread):
            barb = (length - along) * random.uniform(0.25, 0.45)
            end = start + barb * np.array([math.cos(angle + side), math.sin(angle + side)])
            pen.line((*start, *end), fill=int(brightness + random.uniform(-50, 25)), width=3)
    pen.line((*root, *(root + length * direction)), fill=int(brightness + 25), width=3)
