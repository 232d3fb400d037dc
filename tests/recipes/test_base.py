import dataclasses

import pytest

from modernet.errors import InputError
from modernet.recipes import get_recipe, leaves

QUICK = get_recipe("quick")


def test_replace_finds_a_leaf_wherever_it_is() -> None:
    changed = QUICK.replace(lr=0.5, epochs=9, batch_size=7)

    assert (changed.optimizer.lr, changed.schedule.epochs, changed.batch_size) == (0.5, 9, 7)
    assert changed.optimizer.weight_decay == QUICK.optimizer.weight_decay
    assert QUICK.optimizer.lr != 0.5


def test_another_length_keeps_the_share_of_the_warm_up() -> None:
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


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lr": -1.0}, "lr is -1.0; it must be at least 0"),
        ({"epochs": 0}, "epochs is 0; it must be at least 1"),
        ({"flip": 1.5}, "flip is 1.5; it must be from 0 to 1"),
        ({"ema_decay": 2.0}, "ema_decay is 2.0; it must be from 0 to 1"),
        ({"lr": float("nan")}, "lr is nan; it must be at least 0"),
        ({"warmup_epochs": 99.0}, "warmup_epochs is 99.0 but the whole run has 4 epochs"),
    ],
)
def test_a_value_out_of_range_is_refused(change: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        QUICK.replace(**change)
