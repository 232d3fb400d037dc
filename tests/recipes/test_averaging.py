from __future__ import annotations

import re

import pytest

from modernet.recipes import RECIPES, get_recipe, short_average

QUICK = get_recipe("quick")
IMAGENET = 1_281_167


@pytest.mark.parametrize(
    ("decay", "steps", "share", "fitting"),
    [
        (0.9999, 16, "99.9 %", "0.69"),
        (0.9999, 1000, "90.5 %", "0.995"),
        (0.9999, 46_051, None, None),  # 0.9999 ** 46_050 is 0.0099999
        (0.9999, 46_000, "1.01 %", "0.99989"),
        (0.9, 45, None, None),
        (0.9, 44, "1.08 %", "0.89"),
        (0.5, 3, "25 %", None),  # too few steps for any average
        (1.0, 100_000, "100 %", "0.99995"),
        (0.9999, 1, None, None),  # the first weights are the last
        (0.0, 2, None, None),
    ],
)
def test_the_warning_states_the_share_of_the_first_weights_and_a_decay_that_fits(
    decay: float, steps: int, share: str | None, fitting: str | None
) -> None:
    """The share is `decay ** (steps - 1)`; the decay that is named gives e^-5 or about that."""
    message = short_average(QUICK.replace(ema_decay=decay), steps)

    if share is None:
        assert message is None
        return
    assert message is not None
    assert f"the run has {steps}: {share} of the network that is tested" in message
    assert message.endswith("--ema-decay None")
    named = re.search(r"give --ema-decay ([\d.]+), or", message)
    assert (named and named[1]) == fitting
    if named:
        assert float(named[1]) ** (steps - 1) < 0.01
        assert short_average(QUICK.replace(ema_decay=float(named[1])), steps) is None


def test_without_an_average_nothing_is_said() -> None:
    assert short_average(QUICK, 2) is None


@pytest.mark.parametrize("name", RECIPES.names("*"))
def test_every_papers_run_is_long_enough_for_its_average(name: str) -> None:
    """On ImageNet-1K; ours have no average, and those of ImageNet-22K are longer."""
    recipe = get_recipe(name)
    steps = recipe.schedule.epochs * -(-IMAGENET // recipe.batch_size)

    assert short_average(recipe, steps) is None
