from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modernet.report import spread, welch_interval

accuracies = st.lists(st.integers(0, 1000).map(lambda hits: hits / 10), min_size=2, max_size=6)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy, where one side does not vary at all
@given(accuracies, accuracies)
def test_welch_interval_agrees_with_scipy(after: list[float], before: list[float]) -> None:
    interval = welch_interval(after, before)
    if len(set(after)) == len(set(before)) == 1:
        assert interval is None
        return
    truth = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    assert interval == pytest.approx((truth.low, truth.high), rel=1e-6, abs=1e-6)


def test_welch_interval_covers_the_true_difference_as_often_as_it_promises() -> None:
    chance = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        interval = welch_interval(list(chance.normal(2.0, 1.0, size=3)), list(chance.normal(0.0, 0.3, size=4)))
        assert interval is not None
        hits += interval[0] <= 2.0 <= interval[1]
    assert 920 <= hits <= 980  # 950 expected, with a standard deviation of 7


@pytest.mark.parametrize(("after", "before"), [([90.0], [80.0, 81.0]), ([90.0, 91.0], [80.0]), ([], [1.0, 2.0])])
def test_one_seed_on_a_side_gives_no_interval(after: list[float], before: list[float]) -> None:
    assert welch_interval(after, before) is None


def test_seeds_that_all_agree_give_no_interval_rather_than_one_without_width() -> None:
    assert welch_interval([90.0, 90.0], [80.0, 80.0]) is None


def test_spread_has_n_minus_one_in_the_denominator() -> None:
    values = [80.0, 82.0, 87.0]
    assert spread(values) == pytest.approx(float(np.std(values, ddof=1)))
    assert spread([80.0]) is None
    assert spread([]) is None
