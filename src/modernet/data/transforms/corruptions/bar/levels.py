"""Coordinates of pixels, and noise that is added to them."""

from __future__ import annotations

import torch
from torch import Tensor


def coordinates(images: Tensor) -> tuple[Tensor, Tensor]:
    """Return the number of each row and column of images (b, 3, h, w): float64 (h,) and (w,)."""
    h, w = images.shape[-2:]
    return (
        torch.arange(h, dtype=torch.float64, device=images.device),
        torch.arange(w, dtype=torch.float64, device=images.device),
    )


def of_image(values: Tensor) -> Tensor:
    """Return a value for each image, (b,), as float32 (b, 1, 1), to be combined with its pixels."""
    return values.float()[:, None, None]


def add_noise(images: Tensor, noise: Tensor) -> Tensor:
    """Add noise and truncate.

    Pixels are whole numbers, so the truncated sum is that with the noise rounded down, and small integers will do.

    Args:
        images: uint8 (b, c, h, w).
        noise: in grey levels (b, h, w), the same in all channels.

    Returns:
        uint8 (b, c, h, w)
    """
    steps = noise.floor().to(torch.int16)[:, None]
    return (images + steps).clamp_(0, 255).to(torch.uint8)
