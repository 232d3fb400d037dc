"""Scaling of learning rates with the batch size."""

from __future__ import annotations

import math

from modernet.recipes.base import Recipe


def rate_factor(recipe: Recipe) -> float:
    """Return the factor of `lr`, `warmup_lr` and `min_lr` for the batch size of the run.

    They are stated for a batch of `lr_batch`. By `lr_scaling`, they grow linearly with it (Goyal et al. 2017), or with
    its square root (Krizhevsky 2014). Without `lr_batch`, they are not scaled.
    """
    optimizer = recipe.optimizer
    if optimizer.lr_batch is None:
        return 1.0
    ratio = recipe.batch_size / optimizer.lr_batch
    return ratio if optimizer.lr_scaling == "linear" else math.sqrt(ratio)
