import dataclasses
import math
import re
import typing

import pytest

import toy_task
from modernet.errors import InputError
from modernet.recipes import RECIPES, Range, Recipe, for_classification, get_recipe, leaves
from modernet.recipes.base import ranges
from modernet.tasks import get_task

QUICK = get_recipe("quick")


def test_replace_finds_a_leaf_wherever_it_is() -> None:
    changed = QUICK.replace(lr=0.5, epochs=9, batch_size=7)

    assert (changed.optimizer.lr, changed.schedule.epochs, changed.batch_size) == (0.5, 9, 7)
    assert changed.optimizer.weight_decay == QUICK.optimizer.weight_decay
    assert QUICK.optimizer.lr != 0.5


def test_the_warm_up_keeps_its_share_of_another_length() -> None:
    longer = QUICK.replace(epochs=10, warmup_epochs=2.0).lasting(5)

    assert (longer.schedule.epochs, longer.schedule.warmup_epochs) == (5, 1.0)


def test_replace_adds_no_field() -> None:
    with pytest.raises(InputError, match="no field of a recipe is called 'weight_decy'; did you mean weight_decay"):
        QUICK.replace(weight_decy=0.1)


def test_leaves_have_one_name_each_over_the_whole_tree() -> None:
    names: list[str] = []
    for part in dataclasses.fields(QUICK):
        value = getattr(QUICK, part.name)
        nested = dataclasses.is_dataclass(value)
        names += [leaf.name for leaf in dataclasses.fields(value)] if nested else [part.name]

    assert len(names) == len(set(names))
    assert list(leaves(QUICK)) == names


BOUNDS = [(name, allowed) for name, allowed in ranges(type(QUICK)).items()]
UNBOUNDED: set[str] = set()
"""Numbers that may have any value."""


@pytest.mark.parametrize(("name", "allowed"), BOUNDS, ids=[name for name, _ in BOUNDS])
def test_a_value_out_of_the_range_of_its_field_is_refused(name: str, allowed: Range) -> None:
    outside = [allowed.low - 1, math.nan] + ([allowed.high + 1] if allowed.high < 1e9 else [])
    for value in outside:
        with pytest.raises(InputError, match=rf"^{name} is {value}; it must be {re.escape(str(allowed))}$"):
            QUICK.replace(**{name: value})


@pytest.mark.parametrize("recipe", [named.recipe for named in RECIPES.values()], ids=list(RECIPES))
def test_every_number_of_a_recipe_has_a_range(recipe: Recipe) -> None:
    kinds = typing.get_type_hints
    numbers = {
        name
        for part in [type(recipe), *(type(value) for value in vars(recipe).values() if dataclasses.is_dataclass(value))]
        for name, hint in kinds(part).items()
        if {int, float} & {hint, *typing.get_args(hint)}
    }

    assert "lr" in numbers
    assert numbers - ranges(type(recipe)).keys() == UNBOUNDED


def test_the_bounds_of_a_range_are_allowed() -> None:
    assert 0.0 in Range(0, 1)
    assert 1.0 in Range(0, 1)
    assert str(Range(0.5)) == "at least 0.5"
    assert str(Range(0.5, 2)) == "from 0.5 to 2"


def test_a_warm_up_longer_than_the_run_is_refused() -> None:
    with pytest.raises(InputError, match=r"^warmup_epochs is 99\.0 but the whole run has 4 epochs; give .* at most 4$"):
        QUICK.replace(warmup_epochs=99.0)


def test_a_recipe_says_which_task_it_trains() -> None:
    assert for_classification(QUICK) is QUICK
    for named in RECIPES.values():
        assert hasattr(get_task(named.recipe.task), "prepare")


def test_a_recipe_of_another_task_does_not_train_a_classifier() -> None:
    with pytest.raises(
        InputError,
        match="the recipe toy is for toy, and a classifier is to be trained; choose another one from modernet recipes",
    ):
        for_classification(toy_task.RECIPE)
