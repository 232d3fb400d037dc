"""Spatter, one of the extra corruptions of ImageNet-C: drops of water or mud on the lens."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from modernet.data.transforms.corruptions.chance import ImageChance
from modernet.data.transforms.corruptions.corruption import CORRUPTIONS, Corruption
from modernet.data.transforms.corruptions.filters import gaussian_filter
from modernet.errors import InputError

_WATER = (175, 238, 238)  # pale turquoise
_MUD = (63, 42, 20)


def spatter(
    images: Tensor,
    chance: ImageChance,
    mean: float,
    deviation: float,
    sigma: float,
    threshold: float,
    amount: float,
    mud: bool,
) -> Tensor:
    """Let drops of water or mud cover each image where smoothed noise exceeds a threshold.

    Args:
        mean, deviation: of the noise, where 1 is the most.
        sigma: of the Gaussian that smooths it, in pixels.
        amount: of water, its strength; of mud, the sigma that smooths the borders of its drops, in pixels.

    Raises:
        InputError: water needs OpenCV, which is not installed.
    """
    *_, h, w = images.shape
    liquid = gaussian_filter(chance.normal(1, h, w), sigma).double() * deviation + mean
    color = (torch.tensor(_MUD if mud else _WATER, device=images.device) / 255)[:, None, None]
    images = images.contiguous().float().div_(255)
    if mud:
        drops = gaussian_filter((liquid > threshold).double(), amount).float()
        drops = F.threshold(drops, 0.8, 0)
        images.mul_(1 - drops)
    else:
        liquid = F.threshold(liquid, threshold, 0).mul_(255).to(torch.uint8)
        drops = torch.from_numpy(np.stack([_water(layer) for layer in liquid[:, 0].cpu().numpy()]))
        drops = drops[:, None].to(images.device) * amount
    return images.add_(color * drops).mul_(255)


def _water(liquid: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return how much light each pixel of a layer of drops adds, at most 1, (h, w): most inside drops, as if embossed.

    A layer without drops adds none; the published code divides by 0 there.
    """
    try:
        import cv2
    except ImportError:
        raise InputError(
            "the corruption spatter needs OpenCV, which is not installed; pip install 'modernet[corruptions]'"
        ) from None
    distance = cv2.distanceTransform(255 - cv2.Canny(liquid, 50, 150), cv2.DIST_L2, 5)
    distance = cv2.equalizeHist(cv2.blur(distance.clip(max=20), (3, 3)).astype(np.uint8))
    emboss = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]], dtype=np.float32)
    layer = liquid * cv2.blur(cv2.filter2D(distance, cv2.CV_8U, emboss), (3, 3)).astype(np.float32)
    return layer / (layer.max() or 1)


CORRUPTIONS.add(
    "spatter",
    Corruption(
        "extra",
        spatter,
        {
            32: (
                (0.62, 0.1, 0.7, 0.7, 0.5, False),
                (0.65, 0.1, 0.8, 0.7, 0.5, False),
                (0.65, 0.3, 1, 0.69, 0.5, False),
                (0.65, 0.1, 0.7, 0.69, 0.6, True),
                (0.65, 0.1, 0.5, 0.68, 0.6, True),
            ),
            64: (
                (0.62, 0.1, 0.7, 0.7, 0.6, False),
                (0.65, 0.1, 0.8, 0.7, 0.6, False),
                (0.65, 0.3, 1, 0.69, 0.6, False),
                (0.65, 0.1, 0.7, 0.68, 0.6, True),
                (0.65, 0.1, 0.5, 0.67, 0.6, True),
            ),
            224: (
                (0.65, 0.3, 4, 0.69, 0.6, False),
                (0.65, 0.3, 3, 0.68, 0.6, False),
                (0.65, 0.3, 2, 0.68, 0.5, False),
                (0.65, 0.3, 1, 0.65, 1.5, True),
                (0.67, 0.4, 1, 0.65, 1.5, True),
            ),
            299: (
                (0.65, 0.3, 4, 0.69, 0.9, False),
                (0.65, 0.3, 3.5, 0.68, 0.9, False),
                (0.65, 0.3, 3, 0.68, 0.8, False),
                (0.65, 0.3, 1.2, 0.65, 1.8, True),
                (0.67, 0.4, 1.2, 0.65, 1.8, True),
            ),
        },
    ),
)
