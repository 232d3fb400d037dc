"""Images to corrupt: smooth areas with the noise of a camera, edges, texture, flat areas as of skies and frames."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def pictures(n: int, h: int, w: int, seed: int = 0) -> Tensor:
    """Return images, uint8 (n, 3, h, w)."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, 3, h // 24 + 2, w // 24 + 2, generator=generator)
    smooth = functional.interpolate(coarse, size=(h, w), mode="bicubic") * 350 - 48  # some of it is black or white
    texture = torch.randn(n, 3, h, w, generator=generator) * 12
    texture[..., : w // 2] /= 12
    texture[(smooth < 0) | (smooth > 255)] = 0
    images = (smooth + texture).clamp(0, 255).to(torch.uint8)
    images[..., : h // 4, : w // 3] = torch.tensor([200, 41, 9], dtype=torch.uint8)[:, None, None]
    return images


def pixels(images: Tensor) -> list[np.ndarray]:
    """Return the arrays of images, each uint8 (h, w, 3), as published code takes them."""
    return list(images.permute(0, 2, 3, 1).contiguous().numpy())
