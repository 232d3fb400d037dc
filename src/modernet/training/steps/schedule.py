"""Learning-rate schedule."""

from __future__ import annotations

import math

from modernet.recipes import Recipe, rate_factor

_LATE_STEPS = (27 / 36, 33 / 36)  # of the 3x schedule for COCO


def learning_rate(recipe: Recipe, step: int, steps_per_epoch: int) -> float:
    """Return the learning rate of an optimizer step, counted from 0 over the whole run.

    Linear warm-up from `warmup_lr`, whose last step has the full rate; then half a cosine down to `min_lr`, or
    plateaus, of equal length or ending late, each `plateau_factor` times the one before, or the full rate times
    sqrt(w / t), with w steps of warm-up and t done. The linear decay runs over the whole training, and the warm-up ends
    on it. All rates are scaled with the batch, see `rate_factor`.
    """
    schedule = recipe.schedule
    factor = rate_factor(recipe)
    full, first, last = (factor * rate for rate in (recipe.optimizer.lr, schedule.warmup_lr, schedule.min_lr))
    total = schedule.epochs * steps_per_epoch
    warmup = round(schedule.warmup_epochs * steps_per_epoch)
    if schedule.decay == "linear":
        full = last + (full - last) * (1 - step / total)
    if step < warmup:
        return first + (full - first) * (step + 1) / warmup
    if schedule.decay == "linear":
        return full
    if schedule.decay == "rsqrt":
        return full * math.sqrt(max(warmup, 1) / (step + 1))
    if schedule.decay == "late_steps":
        return full * schedule.plateau_factor ** sum(step >= share * total for share in _LATE_STEPS)
    if schedule.decay == "step":
        return full * schedule.plateau_factor ** (schedule.plateaus * step // total)
    progress = (step - warmup) / max(total - warmup, 1)
    last = min(last, full)
    return last + (full - last) * 0.5 * (1 + math.cos(math.pi * progress))
