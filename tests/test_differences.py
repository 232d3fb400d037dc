"""Differences over images and seeds, and groups that cannot be told apart."""

from __future__ import annotations

import itertools
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from modernet.differences import (
    Difference,
    Variances,
    crossed_difference,
    crossed_mean,
    images_to_settle,
    joined,
    letter_groups,
    mcnemar,
    seeds_to_settle,
    welch_difference,
)
from modernet.statistics import Interval, paired_interval, welch_interval, wilson_interval

Answers = NDArray[np.bool_]


def trained(
    chance: np.random.Generator, n: int, seeds: int, spread: float, difficulty: NDArray[np.float64], base: float = 2.2
) -> Answers:
    """Return answers (seeds, n): images are hard for every network and for this one, and seeds are of unequal luck."""
    own = 1.2 * chance.normal(size=n)
    luck = spread * chance.normal(size=(seeds, 1))
    answers: Answers = base + 1.6 * difficulty + own + luck + chance.normal(size=(seeds, n)) > 0
    return answers


def true_mean(spread: float, base: float = 2.2) -> float:
    return float(stats.norm.cdf(base / np.sqrt(1.6**2 + 1.2**2 + 1 + spread**2)))


@pytest.mark.parametrize(("n", "spreads"), [(500, (0.15, 0.15)), (1500, (0.3, 0.1)), (300, (0.0, 0.0))])
def test_the_crossed_interval_covers_the_true_difference_and_its_test_errs_as_often_as_promised(
    n: int, spreads: tuple[float, float]
) -> None:
    chance = np.random.default_rng(3)
    truth = true_mean(spreads[0]) - true_mean(spreads[1])
    missed, found = 0, 0
    studies = 600
    for _ in range(studies):
        difficulty = chance.normal(size=n)
        first, second = (trained(chance, n, 3, spread, difficulty) for spread in spreads)
        difference = crossed_difference(first, second)
        assert difference.interval is not None
        assert difference.p is not None
        missed += difference.interval.excludes(truth)
        found += difference.p < 0.05
    assert 0.025 <= missed / studies <= 0.07  # 5 % expected, with a standard deviation of 0.9 points
    if spreads[0] == spreads[1]:  # there is no difference
        assert found == missed


@pytest.mark.parametrize(("spread", "of_images", "of_seeds"), [(0.25, False, True), (0.02, True, False)])
def test_an_interval_over_one_of_both_samples_covers_less_where_the_other_matters(
    spread: float, of_images: bool, of_seeds: bool
) -> None:
    chance = np.random.default_rng(0)
    crossed = images_alone = seeds_alone = 0
    for _ in range(200):
        difficulty = chance.normal(size=400)
        first, second = (trained(chance, 400, 3, spread, difficulty) for _ in range(2))
        interval = crossed_difference(first, second).interval
        assert interval is not None
        crossed += not interval.excludes(0)
        by_image = first.mean(axis=0) - second.mean(axis=0)
        images_alone += abs(by_image.mean()) < 1.96 * stats.sem(by_image)
        over_seeds = welch_interval(list(first.mean(axis=1)), list(second.mean(axis=1)))
        seeds_alone += over_seeds is None or not over_seeds.excludes(0)
    assert crossed >= 184
    assert (images_alone >= 184) == of_images
    assert (seeds_alone >= 184) == of_seeds


def test_the_crossed_error_agrees_with_a_bootstrap_over_images_and_seeds() -> None:
    chance = np.random.default_rng(1)
    difficulty = chance.normal(size=300)
    first, second = (trained(chance, 300, 20, 0.3, difficulty) for _ in range(2))
    resampled = []
    for _ in range(1500):
        images = chance.integers(300, size=300)
        means = [answers[chance.integers(20, size=20)][:, images].mean() for answers in (first, second)]
        resampled.append(means[0] - means[1])
    difference = crossed_difference(first, second)
    assert difference.mean == pytest.approx(first.mean() - second.mean())
    assert difference.interval is not None
    low, high = np.quantile(resampled, [0.025, 0.975])
    # the bootstrap counts what images and seeds share three times, and is mildly conservative
    assert 0.85 < difference.interval.margin / ((high - low) / 2) < 1.05


@pytest.mark.parametrize(("n", "seeds", "spread"), [(500, 3, 0.15), (500, 2, 0.15), (300, 2, 0.0), (50, 2, 0.0)])
def test_the_interval_of_a_mean_covers_the_truth_and_is_narrower_than_that_of_a_difference(
    n: int, seeds: int, spread: float
) -> None:
    chance = np.random.default_rng(4)
    truth = true_mean(spread)
    missed, widths = 0, []
    for _ in range(400):
        difficulty = chance.normal(size=n)
        first, second = (trained(chance, n, seeds, spread, difficulty) for _ in range(2))
        interval, difference = crossed_mean(first), crossed_difference(first, second).interval
        assert difference is not None
        assert 0.0 <= interval.low <= first.mean() <= interval.high <= 1.0
        missed += interval.excludes(truth)
        widths.append((interval.margin, difference.margin))
    assert 0.02 <= missed / 400 <= 0.08  # 5 % expected, with a standard deviation of 1.1 points
    of_mean, of_difference = np.median(widths, axis=0)
    assert of_mean < of_difference


def test_the_interval_of_a_mean_is_wilsons_where_seeds_say_nothing() -> None:
    right = np.arange(100) < 83
    assert crossed_mean(right[None]) == wilson_interval(0.83, 100)
    assert crossed_mean(np.ones((3, 40))) == wilson_interval(1.0, 40)
    alike = crossed_mean(np.stack([right, right]))  # as one seed, but for the variance of a sample of images
    assert alike.margin == pytest.approx(wilson_interval(0.83, 100).margin, rel=0.03)
    with pytest.raises(ValueError, match=r"answers of \(0, 5\) are not \(seeds, images\)"):
        crossed_mean(np.ones((0, 5)))


def test_the_components_are_those_that_answers_were_drawn_with() -> None:
    chance = np.random.default_rng(2)
    n, seeds = 4000, 40
    difficulty = chance.normal(size=n)
    first = difficulty + 0.3 * chance.normal(size=n) + 0.05 * chance.normal(size=(seeds, 1))
    first = first + 0.7 * chance.normal(size=(seeds, n))
    second = difficulty + 0.2 * chance.normal(size=n) + 0.10 * chance.normal(size=(seeds, 1))
    second = second + 0.5 * chance.normal(size=(seeds, n))
    variances = crossed_difference(first, second).variances
    assert variances is not None
    assert variances.n == n
    assert variances.images == pytest.approx(0.3**2 + 0.2**2, rel=0.08)
    assert variances.residual == pytest.approx(0.7**2 + 0.5**2, rel=0.03)
    assert variances.seeds == pytest.approx((0.05**2, 0.10**2), rel=0.5)


def test_one_seed_each_is_mcnemars_exact_test_and_the_paired_interval() -> None:
    first, second = ([[1, 1, 1, 1, 1, 0, 1, 0] * 5], [[1, 1, 0, 1, 0, 1, 0, 0] * 5])
    difference = crossed_difference(first, second)
    assert difference.mean == pytest.approx(0.25)
    assert difference.interval == paired_interval(15, 15, 5, 40)
    assert difference.p == pytest.approx(stats.binomtest(5, 20).pvalue)
    assert difference.variances is None
    assert seeds_to_settle(difference) is None
    assert images_to_settle(difference) is None
    assert mcnemar(0, 0) == 1.0
    assert mcnemar(4, 4) == 1.0


def test_a_network_with_one_seed_is_taken_to_vary_as_the_other() -> None:
    chance = np.random.default_rng(4)
    missed = 0
    for _ in range(400):
        difficulty = chance.normal(size=500)
        first, second = (trained(chance, 500, seeds, 0.2, difficulty) for seeds in (4, 1))
        interval = crossed_difference(first, second).interval
        assert interval is not None
        missed += interval.excludes(0)
    assert 0.02 <= missed / 400 <= 0.08


def test_answers_that_never_vary_leave_an_interval_with_a_width() -> None:
    right = np.ones((3, 200))
    difference = crossed_difference(right, right)
    assert difference.mean == 0
    assert difference.p == 1
    assert difference.interval == paired_interval(200, 0, 0, 200)


@pytest.mark.parametrize("other", [np.ones((3, 9)), np.ones((0, 10)), np.ones(10)])
def test_answers_for_other_images_are_refused(other: NDArray[np.float64]) -> None:
    with pytest.raises(ValueError, match="for the same images"):
        crossed_difference(np.ones((3, 10)), other)


def test_welch_agrees_with_scipy_and_has_no_interval_where_seeds_do_not_vary() -> None:
    first, second = [61.0, 62.5, 60.2], [58.0, 59.9, 59.0, 58.2]
    difference = welch_difference(first, second)
    truth = stats.ttest_ind(first, second, equal_var=False)
    assert difference.interval is not None
    assert difference.p == pytest.approx(truth.pvalue)
    expected = welch_interval(first, second)
    assert expected is not None
    assert (difference.interval.low, difference.interval.high) == pytest.approx((expected.low, expected.high))
    for one, other in (([61.0], second), ([61.0, 61.0], [58.0, 58.0])):
        assert welch_difference(one, other).interval is None
        assert welch_difference(one, other).p is None
        assert welch_difference(one, other).mean == pytest.approx(np.mean(one) - np.mean(other))


def test_the_number_of_seeds_that_settles_a_pair_shows_it_four_times_in_five() -> None:
    planned = Difference(1.0, Interval(-0.5, 2.5), 0.2, Variances(0.0, (1.0, 0.5), 0.0, 0))
    seeds = seeds_to_settle(planned)
    assert seeds is not None
    assert 10 <= seeds <= 14
    chance = np.random.default_rng(5)
    shown = 0
    for _ in range(1000):
        p = welch_difference(list(chance.normal(1, 1, seeds)), list(chance.normal(0, 0.5**0.5, seeds))).p
        assert p is not None
        shown += p < 0.05
    assert 770 <= shown <= 880
    stricter = seeds_to_settle(planned, level=0.005)
    assert stricter is not None
    assert stricter > seeds


def test_no_number_of_seeds_settles_a_pair_for_which_the_test_images_are_too_few() -> None:
    few = Difference(0.01, Interval(-0.02, 0.04), 0.5, Variances(0.09, (1e-4, 1e-4), 0.1, 500))
    assert seeds_to_settle(few) is None
    images = images_to_settle(few)
    assert images is not None
    assert images == pytest.approx(0.09 * (2.8016 / 0.01) ** 2, rel=1e-3)
    enough = Difference(0.01, Interval(-0.02, 0.04), 0.5, Variances(0.09, (1e-4, 1e-4), 0.1, 2 * images))
    assert seeds_to_settle(enough) is not None
    assert seeds_to_settle(Difference(0.0, None, 1.0, enough.variances)) is None
    assert images_to_settle(Difference(0.0, None, 1.0, enough.variances)) is None
    certain = Difference(0.01, Interval(0.01, 0.01), 0.0, Variances(0.0, (0.0, 0.0), 0.0, 0))
    assert seeds_to_settle(certain) == 2


def test_letters_of_the_usual_case() -> None:
    assert [joined(each) for each in letter_groups(4, [(0, 2), (0, 3), (1, 3)])] == ["a", "ab", "bc", "c"]
    assert letter_groups(3, []) == [("a",)] * 3
    assert letter_groups(0, []) == []
    everything = [joined(each) for each in letter_groups(28, itertools.combinations(range(28), 2))]
    assert everything[:2] + everything[-3:] == ["a", "b", "z", "a2", "b2"]
    assert joined(("a", "b2")) == "a,b2"


@given(st.integers(2, 7).flatmap(lambda k: st.tuples(st.just(k), st.sets(st.sampled_from(pairs(k))))))
def test_letters_are_all_largest_groups_of_networks_that_are_not_distinguished(
    case: tuple[int, set[tuple[int, int]]],
) -> None:
    count, distinguished = case
    letters = letter_groups(count, distinguished)
    for pair in pairs(count):
        share = set(letters[pair[0]]) & set(letters[pair[1]])
        assert bool(share) == (pair not in distinguished)
    alike = [
        set(group)
        for size in range(1, count + 1)
        for group in itertools.combinations(range(count), size)
        if not distinguished.intersection(itertools.combinations(group, 2))
    ]
    largest = [group for group in alike if not any(group < other for other in alike)]
    found = [{each for each in range(count) if letter in letters[each]} for letter in sorted(set().union(*letters))]
    assert sorted(map(sorted, found)) == sorted(map(sorted, largest))
    assert found == sorted(found, key=sorted)


def pairs(count: int) -> list[tuple[int, int]]:
    return list(itertools.combinations(range(count), 2))


def test_differences_load_neither_torch_nor_scipy_before_they_are_needed() -> None:
    code = "import sys, modernet.differences; print({'torch', 'scipy', 'numpy'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
