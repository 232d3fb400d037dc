from __future__ import annotations

import itertools
import math
import random
from collections.abc import Callable

import pytest

from modernet.report import alias_sets, estimate_effects
from modernet.report.factorial.effects import Effects

FULL = list(itertools.product((-1, 1), repeat=3))
HALF = [(*row, row[0] * row[1] * row[2]) for row in FULL]  # D = ABC, resolution IV


def measured(
    true: Callable[..., float], levels: list[tuple[int, ...]], *, noise: float, replicates: int, seed: int = 0
) -> Effects:
    chance = random.Random(seed)
    responses = [[true(*row) + chance.gauss(0, noise) for _ in range(replicates)] for row in levels]
    return estimate_effects("ABCD"[: len(levels[0])], levels, responses)


def test_effects_without_noise_are_exact() -> None:
    found = measured(lambda a, b, c: 70 + 2 * a - 0.5 * b + 1.5 * a * c, FULL, noise=0, replicates=2)

    assert found.mean == pytest.approx(70)
    values = {effect.terms: effect.value for effect in found.effects}
    assert values[(("A",),)] == pytest.approx(4)  # from 68 to 72
    assert values[(("B",),)] == pytest.approx(-1)
    assert values[(("A", "C"),)] == pytest.approx(3)
    assert values[(("C",),)] == pytest.approx(0)
    assert all(effect.interval is None and effect.p_value is None for effect in found.effects)  # replicates do not vary


def test_an_interaction_is_what_an_effect_gains_where_the_other_factor_is_on() -> None:
    found = measured(lambda a, b, c: 70 + 2 * a + 1.5 * a * b, FULL, noise=0, replicates=1)
    values = {effect.terms: effect.value for effect in found.effects}

    where_on, where_off = 2 * (2 + 1.5), 2 * (2 - 1.5)
    assert values[(("A",),)] + values[(("A", "B"),)] == pytest.approx(where_on)
    assert values[(("A",),)] - values[(("A", "B"),)] == pytest.approx(where_off)


def test_intervals_contain_the_truth_nineteen_times_in_twenty() -> None:
    true = {"A": 3.0, "B": 0.0, "AC": -2.0}
    inside = total = 0
    for seed in range(150):
        found = measured(
            lambda a, b, c: 70 + a * true["A"] / 2 + a * c * true["AC"] / 2, FULL, noise=1.0, replicates=2, seed=seed
        )
        for effect in found.effects:
            truth = true.get("".join(effect.terms[0]), 0.0)
            assert effect.interval is not None
            inside += not effect.interval.excludes(truth)
            total += 1
    assert 0.93 < inside / total < 0.97  # 900 intervals; their share varies by 0.009


def test_the_interval_of_two_groups_is_students_by_hand() -> None:
    off, on = [60.0, 61.0, 63.0], [65.0, 64.0, 68.0]
    (effect,) = estimate_effects("A", [(-1,), (1,)], [off, on]).effects

    # pooled variance (7/3 + 13/3) / 2 = 10/3, so the error is sqrt(10/3 * 2/3); 2.776445 is t(0.975, 4)
    margin = 2.776445 * math.sqrt(20 / 9)
    assert effect.value == pytest.approx(13 / 3)
    assert effect.interval is not None
    assert (effect.interval.low, effect.interval.high) == pytest.approx((13 / 3 - margin, 13 / 3 + margin))
    assert effect.p_value == pytest.approx(0.0436, abs=5e-4)  # t = 2.907


def test_designs_may_have_different_numbers_of_replicates() -> None:
    responses = [[70.0 + 2 * a + b, 70.5 + 2 * a + b][: 1 + (a > 0)] for a, b, _ in FULL]
    found = estimate_effects("ABC", FULL, responses)

    assert found.freedom == 4
    assert found.main[1].value == pytest.approx(2)
    assert found.main[0].value == pytest.approx(4.25)


def test_aliases_are_estimated_as_their_sum() -> None:
    found = measured(lambda a, b, c, d: 70 + 2 * a * b + 1 * c * d + d, HALF, noise=0, replicates=1)
    values = {effect.terms: effect.value for effect in found.effects}

    assert values[(("A", "B"), ("C", "D"))] == pytest.approx(2 * (2 + 1))
    assert values[(("D",),)] == pytest.approx(2)
    assert len(values) == 4 + 3


def test_alias_sets_of_full_and_half_designs() -> None:
    assert all(len(terms) == 1 for terms in alias_sets("ABC", FULL))
    assert [terms for terms in alias_sets("ABCD", HALF) if len(terms) > 1] == [
        (("A", "B"), ("C", "D")),
        (("A", "C"), ("B", "D")),
        (("A", "D"), ("B", "C")),
    ]


def test_an_interaction_of_three_factors_shows_as_lack_of_fit() -> None:
    with_three = measured(lambda a, b, c: 70 + a + 2 * a * b * c, FULL, noise=0.5, replicates=2)
    without = measured(lambda a, b, c: 70 + a, FULL, noise=0.5, replicates=2)

    assert with_three.unexplained_p is not None
    assert with_three.unexplained_p < 1e-4
    assert without.unexplained_p is not None
    assert without.unexplained_p > 0.05
    assert with_three.noise_std == pytest.approx(without.noise_std)  # what is left out is no noise


def test_one_replicate_gives_effects_without_intervals() -> None:
    found = measured(lambda a, b, c: 70 + a, FULL, noise=1, replicates=1)

    assert found.freedom == 0
    assert found.noise_std is None
    assert not any(effect.excludes_zero or effect.holds_among_all for effect in found.effects)


def test_too_few_designs_for_the_effects_are_refused() -> None:
    with pytest.raises(ValueError, match="3 designs cannot tell 3 effects apart"):
        estimate_effects("AB", [(-1, -1), (-1, 1), (1, -1)], [[1.0], [2.0], [3.0]])
