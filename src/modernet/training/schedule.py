"""The learning rate at every step."""

from __future__ import annotations

import math

from modernet.recipes import Recipe


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """The learning rate of optimiser step `step`, counted from 0 over the whole run.

    Linear warm-up, whose last step has the full rate; then half a cosine to `min_lr`, or a tenth after each third of
    the epochs.
    """
    optimizer, schedule = recipe.optimizer, recipe.schedule
    total = schedule.epochs * steps_per_epoch
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if step < warmup:
        return optimizer.lr * (step + 1) / warmup
    if schedule.decay == "step":
        return optimizer.lr * 0.1 ** (3 * step // total)
    progress = (step - warmup) / max(total - warmup, 1)
    floor = min(schedule.min_lr, optimizer.lr)
    return floor + (optimizer.lr - floor) * 0.5 * (1 + math.cos(math.pi * progress))
