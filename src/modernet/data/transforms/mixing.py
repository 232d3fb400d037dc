"""Mixup and CutMix: two images become one, and so do their labels. By timm, whose code is the published form."""

from __future__ import annotations

import numpy as np
import torch.nn.functional as F
from torch import Tensor

from modernet.data.chance import new_seed, seeded
from modernet.recipes import Augmentation


def mix(
    images: Tensor, labels: Tensor, num_classes: int, augmentation: Augmentation, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    """Mix images in place: the first with the last, the second with the last but one, ...

    timm needs an even number of images; the last of an odd number stays as it is.

    Targets are not smoothed here. timm mixes smoothed targets, with a share s spread over k classes, which is the same
    as smoothing mixed ones: x (1 - s) a + x s/k + (1 - x) (1 - s) b + (1 - x) s/k = (1 - s) (x a + (1 - x) b) +
    s/k.

    Args:
        images: float (b, 3, h, w).
        labels: int64 (b,)

    Returns:
        The images, and targets: the labels themselves if nothing is mixed, else soft ones, float32 (b, num_classes).
    """
    settings = augmentation
    if not settings.mixup and not settings.cutmix:
        return images, labels
    whole = settings.mix_mode == "batch"
    if whole and rng.random() >= settings.mix_prob:
        return images, labels  # unchanged, so that accuracy is defined
    from timm.data.mixup import Mixup  # timm takes seconds to import

    mixup = Mixup(  # type: ignore[no-untyped-call]
        mixup_alpha=settings.mixup,
        cutmix_alpha=settings.cutmix,
        prob=1.0 if whole else settings.mix_prob,
        switch_prob=settings.mix_switch_prob,
        mode=settings.mix_mode,
        label_smoothing=0.0,
        num_classes=num_classes,
    )
    even = len(images) // 2 * 2
    targets = F.one_hot(labels, num_classes).float()
    if even:
        with seeded(new_seed(rng)):
            targets[:even] = mixup(images[:even], labels[:even])[1]
    return images, targets
