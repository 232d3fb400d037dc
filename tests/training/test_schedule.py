import pytest

from modernet.recipes import get_recipe
from modernet.training.schedule import learning_rate

COSINE = get_recipe("quick").replace(lr=1.0, epochs=10, warmup_epochs=2.0, min_lr=0.1)


def test_warm_up_is_linear_and_ends_at_the_full_rate() -> None:
    assert [learning_rate(COSINE, step, 2) for step in range(4)] == [0.25, 0.5, 0.75, 1.0]


def test_the_cosine_passes_half_way_in_the_middle_and_ends_at_the_lowest_rate() -> None:
    assert learning_rate(COSINE, 4, 2) == 1.0
    assert learning_rate(COSINE, 12, 2) == pytest.approx(0.55)
    assert learning_rate(COSINE, 20, 2) == pytest.approx(0.1)


def test_the_rate_never_rises_after_the_warm_up() -> None:
    rates = [learning_rate(COSINE, step, 7) for step in range(14, 70)]

    assert rates == sorted(rates, reverse=True)


def test_steps_divide_the_rate_by_ten_after_each_third() -> None:
    recipe = get_recipe("classic").replace(lr=1.0, epochs=6)

    assert [learning_rate(recipe, step, 1) for step in range(6)] == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_a_lowest_rate_above_the_full_rate_is_not_reached() -> None:
    recipe = COSINE.replace(lr=0.01, min_lr=0.1, warmup_epochs=0.0)

    assert {learning_rate(recipe, step, 1) for step in range(10)} == {0.01}
