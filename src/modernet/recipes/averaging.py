"""How far the average of the weights reaches back, compared with the length of a run."""

from __future__ import annotations

from modernet.recipes.base import Recipe

_LARGEST_SHARE = 0.01
_REACHES = 5  # of a run, in units of the average's own; the first weights then count e^-5


def short_average(recipe: Recipe, steps: int) -> str | None:
    """Return a warning if a run is too short for the EMA of its weights; None if it is not.

    The average begins as the weights after the first step. Their share in it after the last one is
    `ema_decay ** (steps - 1)`; up to 1 % is taken for long enough, as it is in every paper's own setting.

    Args:
        steps: optimizer steps of the run.
    """
    decay = recipe.ema_decay
    if decay is None or steps < 2 or decay ** (steps - 1) <= _LARGEST_SHARE:
        return None
    reach = f"over {1 / (1 - decay):,.0f} steps" if decay < 1 else "over all steps"
    fitting = f"--ema-decay {1 - float(f'{_REACHES / steps:.2g}'):g}, or " if steps > _REACHES else ""
    return (
        f"the average of the weights (EMA) reaches back {reach} and the run has {steps}: "
        f"{100 * decay ** (steps - 1):.3g} % of the network that is tested and saved will be the weights after the "
        f"first step; give {fitting}--ema-decay None"
    )
