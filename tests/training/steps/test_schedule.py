import pytest

from modernet.recipes import get_recipe
from modernet.training.steps.schedule import learning_rate

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


def test_the_warm_up_begins_where_the_recipe_says() -> None:
    recipe = COSINE.replace(warmup_lr=0.2)

    assert [learning_rate(recipe, step, 2) for step in range(4)] == pytest.approx([0.4, 0.6, 0.8, 1.0])


def test_plateaus_have_the_number_and_the_factor_of_the_recipe() -> None:
    recipe = get_recipe("mobilenet_v2")
    rates = [learning_rate(recipe, step, 10) for step in range(3000)]

    assert rates == pytest.approx([0.045 * 0.98 ** (step // 10) for step in range(3000)])


@pytest.mark.parametrize(
    ("batch_size", "lr_batch", "lr_scaling", "factor"),
    [(128, 4096, "linear", 1 / 32), (1024, 4096, "sqrt", 0.5), (512, 256, "linear", 2.0), (512, None, "linear", 1.0)],
)
def test_all_rates_are_scaled_with_the_batch(
    batch_size: int, lr_batch: int | None, lr_scaling: str, factor: float
) -> None:
    stated = COSINE.replace(warmup_lr=0.2)
    recipe = stated.replace(batch_size=batch_size, lr_batch=lr_batch, lr_scaling=lr_scaling)

    rates = [learning_rate(recipe, step, 2) for step in range(21)]
    assert rates == pytest.approx([factor * learning_rate(stated, step, 2) for step in range(21)])


def test_the_rates_of_swin_are_its_configurations_for_its_batch() -> None:
    recipe = get_recipe("swin")

    assert learning_rate(recipe, 20 * 10 - 1, 10) == pytest.approx(1e-3)
    assert learning_rate(recipe, 0, 1000) == pytest.approx(1e-6, rel=0.06)
    assert learning_rate(recipe, 300 * 10, 10) == pytest.approx(1e-5)


def test_a_lowest_rate_above_the_full_rate_is_not_reached() -> None:
    recipe = COSINE.replace(lr=0.01, min_lr=0.1, warmup_epochs=0.0)

    assert {learning_rate(recipe, step, 1) for step in range(10)} == {0.01}


def test_the_line_runs_from_the_first_step_and_the_warm_up_ends_on_it() -> None:
    """OpenMMLab's poly with power 1: after the warm-up, lr * (1 - step / all steps)."""
    recipe = COSINE.replace(decay="linear", min_lr=0.0)

    assert [learning_rate(recipe, step, 2) for step in (3, 4, 10, 19)] == pytest.approx([0.85, 0.8, 0.5, 0.05])
    assert learning_rate(recipe, 0, 2) == pytest.approx(0.25)
    assert learning_rate(recipe.replace(min_lr=0.2), 10, 2) == pytest.approx(0.6)


def test_late_steps_are_those_of_the_3x_schedule() -> None:
    recipe = get_recipe("mask_rcnn_convnext").replace(warmup_epochs=0.0)
    rates = [learning_rate(recipe, epoch * 10, 10) for epoch in range(36)]
    assert rates[:27] == [1e-4] * 27
    assert rates[27:33] == pytest.approx([1e-5] * 6)
    assert rates[33:] == pytest.approx([1e-6] * 3)


def test_the_rate_falls_with_the_root_of_the_step() -> None:
    """lr = base * min(1, t / w) / sqrt(max(t, w)) with t steps done and w of warm-up, as in the Arena's code."""
    recipe = COSINE.replace(lr=0.05 / 1000**0.5, decay="rsqrt", epochs=2, warmup_epochs=1 / 3)
    rates = [learning_rate(recipe, step, 3000) for step in range(6000)]

    assert rates == pytest.approx([0.05 * min(1, t / 1000) / max(t, 1000) ** 0.5 for t in range(1, 6001)])
    assert learning_rate(COSINE.replace(decay="rsqrt", warmup_epochs=0.0), 3, 2) == pytest.approx(0.5)
