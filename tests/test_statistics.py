from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from modernet.statistics import (
    Interval,
    bootstrap_interval,
    holm,
    paired_interval,
    pooled_interval,
    pooled_variance,
    repeated_interval,
    std,
    welch_interval,
    wilson_interval,
)

accuracies = st.lists(st.integers(0, 1000).map(lambda hits: hits / 10), min_size=2, max_size=6)


@pytest.mark.filterwarnings("ignore:Precision loss")  # scipy, where one side does not vary at all
@given(accuracies, accuracies)
def test_welch_interval_agrees_with_scipy(after: list[float], before: list[float]) -> None:
    interval = welch_interval(after, before)
    if len(set(after)) == len(set(before)) == 1:
        assert interval is None
        return
    truth = stats.ttest_ind(after, before, equal_var=False).confidence_interval(0.95)
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((truth.low, truth.high), rel=1e-6, abs=1e-6)


def test_welch_interval_covers_the_true_difference_as_often_as_it_promises() -> None:
    chance = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        interval = welch_interval(list(chance.normal(2.0, 1.0, size=3)), list(chance.normal(0.0, 0.3, size=4)))
        assert interval is not None
        hits += not interval.excludes(2.0)
    assert 920 <= hits <= 980  # 950 expected, with a standard deviation of 7


@pytest.mark.parametrize(("after", "before"), [([90.0], [80.0, 81.0]), ([90.0, 91.0], [80.0]), ([], [1.0, 2.0])])
def test_one_seed_on_a_side_gives_no_interval(after: list[float], before: list[float]) -> None:
    assert welch_interval(after, before) is None


def test_seeds_that_all_agree_give_no_interval_rather_than_one_without_width() -> None:
    assert welch_interval([90.0, 90.0], [80.0, 80.0]) is None


def test_std_has_n_minus_one_in_the_denominator() -> None:
    values = [80.0, 82.0, 87.0]
    assert std(values) == pytest.approx(float(np.std(values, ddof=1)))
    assert std([80.0]) is None
    assert std([]) is None


def test_an_interval_excludes_what_is_outside_of_it() -> None:
    interval = Interval.around(2.0, 0.5)
    assert (interval.low, interval.high, interval.margin) == (1.5, 2.5, 0.5)
    assert [interval.excludes(value) for value in (1.4, 1.5, 2.0, 2.5, 2.6)] == [True, False, False, False, True]


@pytest.mark.parametrize(("right", "n"), [(368, 400), (0, 12), (7, 7), (1, 50_000)])
def test_the_interval_of_a_share_is_wilsons(right: int, n: int) -> None:
    truth = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    interval = wilson_interval(right / n, n)
    assert (interval.low, interval.high) == pytest.approx((truth.low, truth.high), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize("cells", [(0.9, 0.03, 0.02, 0.05), (0.5, 0.2, 0.1, 0.2), (0.97, 0.02, 0.01, 0.0)])
def test_the_paired_interval_contains_the_true_difference_95_times_in_100(cells: tuple[float, ...]) -> None:
    n, drawn = 150, np.random.default_rng(0).multinomial(150, cells, size=2000).tolist()
    intervals = [paired_interval(both, first, second, n) for both, first, second, _ in drawn]
    missed = np.mean([interval.excludes(cells[1] - cells[2]) for interval in intervals])
    assert 0.015 < missed < 0.065


def test_the_paired_interval_has_a_width_if_all_outcomes_are_equal_and_changes_its_sign_with_the_order() -> None:
    for both, n in [(100, 100), (90, 100), (0, 100)]:
        interval = paired_interval(both, 0, 0, n)
        assert interval.low < 0 < interval.high
        assert interval.margin < 0.06
    one, other = paired_interval(80, 7, 2, 100), paired_interval(80, 2, 7, 100)
    assert (one.low, one.high) == pytest.approx((-other.high, -other.low))


def test_the_interval_of_a_repeated_share_combines_students_and_wilsons_by_their_squares() -> None:
    shares = [0.40, 0.44, 0.45]
    wilson = stats.binomtest(215, 500).proportion_ci(0.95, method="wilson")
    student = stats.t.interval(0.95, 2, np.mean(shares), stats.sem(shares))
    interval = repeated_interval(shares, 500)
    assert 0.43 - interval.low == pytest.approx(np.hypot(0.43 - wilson.low, 0.43 - student[0]))
    assert interval.high - 0.43 == pytest.approx(np.hypot(wilson.high - 0.43, student[1] - 0.43))


def test_the_interval_of_a_share_measured_once_is_wilsons_and_none_leaves_the_possible() -> None:
    assert repeated_interval([0.43], 500) == wilson_interval(0.43, 500)
    assert repeated_interval([0.02, 0.20, 0.50], 100).low == 0.0
    assert repeated_interval([0.98, 0.80, 0.50], 100).high == 1.0


def test_the_interval_of_a_repeated_share_covers_the_truth_where_the_examples_alone_do_not() -> None:
    chance = np.random.default_rng(0)
    both = examples_alone = 0
    for _ in range(400):
        easy, luck = chance.beta(2, 2, size=300), chance.normal(0.0, 0.06, size=(3, 1))
        shares = list(np.mean(chance.random((3, 300)) < easy + luck, axis=1))
        both += not repeated_interval(shares, 300).excludes(0.5)
        examples_alone += not wilson_interval(float(np.mean(shares)), 300).excludes(0.5)
    assert both >= 376  # 380 expected at least, with a standard deviation of 4.4
    assert examples_alone < 360


def test_two_groups_pooled_are_students_test() -> None:
    after, before = [90.1, 91.4, 92.0], [88.0, 88.9]
    truth = stats.ttest_ind(after, before, equal_var=True).confidence_interval(0.95)
    interval = pooled_interval(after, before, [after, before])
    assert interval is not None
    assert (interval.low, interval.high) == pytest.approx((truth.low, truth.high))


def test_pooling_takes_the_variance_of_all_groups() -> None:
    groups = [[1.0, 3.0], [5.0], [2.0, 2.0, 5.0]]
    variance, freedom = pooled_variance(groups)
    assert freedom == 3
    assert variance == pytest.approx((2.0 * 1 + 3.0 * 2) / 3)
    assert pooled_variance([[1.0], [2.0]]) == (0.0, 0)
    assert pooled_interval([1.0], [2.0], [[1.0], [2.0]]) is None
    assert pooled_interval([1.0, 1.0], [2.0, 2.0], [[1.0, 1.0], [2.0, 2.0]]) is None


def test_the_bootstrap_agrees_with_scipy() -> None:
    values = list(np.random.default_rng(0).lognormal(size=40))
    truth = stats.bootstrap(
        (values,), np.median, method="percentile", n_resamples=2000, rng=np.random.default_rng(0)
    ).confidence_interval
    interval = bootstrap_interval(values)
    assert (interval.low, interval.high) == pytest.approx((truth.low, truth.high), abs=0.1)
    assert bootstrap_interval(values) == interval
    assert bootstrap_interval([3.0]) == Interval(3.0, 3.0)


def test_holm_judges_all_together() -> None:
    assert holm([0.001, 0.04, 0.2]) == [True, False, False]  # 0.04 > 0.05 / 2
    assert holm([0.01, 0.02, 0.04]) == [True, True, True]
    assert holm([0.04, 0.04, 0.001]) == [False, False, True]
    assert holm([]) == []


def test_statistics_load_neither_torch_nor_scipy_before_they_are_needed() -> None:
    code = "import sys, modernet.statistics; print({'torch', 'scipy', 'numpy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
