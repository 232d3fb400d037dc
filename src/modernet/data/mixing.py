"""Mixup and CutMix: two pictures become one, and so do their labels."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from modernet.data.augment import inside
from modernet.recipes import Augmentation


def mix(
    images: Tensor, labels: Tensor, num_classes: int, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix a batch as the recipe says: not at all, by mixup, or by CutMix, one choice and one share for the batch.

    Args:
        images: float (b, 3, h, w), square.
        labels: int64 (b,)

    Returns:
        The images, and targets: the labels themselves, or soft ones, float32 (b, num_classes), when mixed.
    """
    alphas = [(mixup, augmentation.mixup), (cutmix, augmentation.cutmix)]
    choices = [(mixer, alpha) for mixer, alpha in alphas if alpha > 0]
    if not choices or rng.random() >= augmentation.mix_prob:
        return images, labels
    mixer, alpha = choices[rng.integers(len(choices))]
    partners = torch.from_numpy(rng.permutation(len(images))).to(images.device)
    images, share = mixer(images, partners, rng.beta(alpha, alpha), rng)
    one_hot = F.one_hot(labels, num_classes).float()
    return images, share * one_hot + (1 - share) * one_hot[partners]


def mixup(images: Tensor, partners: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Each picture times `share` plus its partner times the rest (Zhang et al. 2017, equation 1).

    Args:
        images: float (b, c, h, w)
        partners: int64 (b,), indices into the batch.

    Returns:
        The images, and the share of the first picture.
    """
    return torch.lerp(images[partners], images, share), share


def cutmix(images: Tensor, partners: Tensor, share: float, rng: np.random.Generator) -> tuple[Tensor, float]:
    """Paste a rectangle of each picture's partner over it, the same for the whole batch (Yun et al. 2019, section 3.1).

    The rectangle has the picture's shape, 1 - `share` of its area, and its centre anywhere; what hangs over the border
    is cut.

    Args:
        images: float (b, c, h, w), square.
        partners: int64 (b,), indices into the batch.

    Returns:
        The images, and the share of the first picture that is really left.
    """
    side = images.shape[-1]
    extent = int(side * (1 - share) ** 0.5)
    top, left = rng.integers(0, side, (2, 1)) - extent // 2
    pasted = inside(top, left, np.array([extent]), np.array([extent]), side, torch.device("cpu"))
    left_over = 1 - pasted.float().mean().item()
    return torch.where(pasted.to(images.device), images[partners], images), left_over
