"""How learning rates follow the batch."""

from __future__ import annotations

import math

from modernet.recipes.base import Recipe


def rate_factor(recipe: Recipe) -> float:
    """What `lr`, `warmup_lr` and `min_lr` are multiplied with for the batch of this run.

    They are stated for a batch of `lr_batch`. For another one they follow in proportion (Goyal et al. 2017), or by the
    square root (Krizhevsky 2014), as `lr_scaling` says. Without an `lr_batch` they are taken as they are.
    """
    optimizer = recipe.optimizer
    if optimizer.lr_batch is None:
        return 1.0
    ratio = recipe.batch_size / optimizer.lr_batch
    return ratio if optimizer.lr_scaling == "linear" else math.sqrt(ratio)
