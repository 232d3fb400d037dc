from __future__ import annotations

import numpy as np
import pytest

from modernet.evaluation.robustness.resampling import (
    Estimate,
    estimate,
    mean_estimates,
    resampled_means,
    share_estimates,
)


def test_resamples_take_the_same_rows_in_every_column() -> None:
    values = np.random.default_rng(0).normal(size=(50, 1)).astype(np.float32)
    means = resampled_means(np.concatenate([values, values, -values], 1))
    assert np.array_equal(means[:, 0], means[:, 1])
    assert np.array_equal(means[:, 0], -means[:, 2])


def test_resampled_means_vary_as_means_do() -> None:
    """5000 rows are drawn in several parts."""
    values = np.random.default_rng(0).normal(3, 2, size=(5000, 1)).astype(np.float32)
    means = resampled_means(values)
    assert means.shape == (2000, 1)
    assert means.mean() == pytest.approx(values.mean(), abs=0.005)
    assert means.std() == pytest.approx(values.std() / np.sqrt(5000), rel=0.05)
    assert len(np.unique(means)) > 1900, "no two parts are the same"


def test_an_interval_has_95_per_cent_of_the_resamples() -> None:
    found = estimate(7.0, np.arange(2000.0))
    assert found.interval is not None
    assert (found.value, found.interval.low, found.interval.high) == (
        7.0,
        pytest.approx(49.975),
        pytest.approx(1949.025),
    )


def test_values_that_all_agree_have_no_interval() -> None:
    (constant,) = mean_estimates(np.full((5, 1), 3, np.float32))
    assert constant == Estimate(3, None)
    assert constant.metrics("change") == {"change": 3}


def test_shares_are_per_cent_with_the_interval_of_wilson() -> None:
    """Of 20 of 40 and 40 of 40; the numbers are scipy's, `binomtest(...).proportion_ci(method="wilson")`."""
    (half, all_right) = share_estimates(np.array([[True, True], [False, True]] * 20))
    assert half.metrics("top1") == {
        "top1": 50, "top1_low": pytest.approx(35.1995, abs=1e-4), "top1_high": pytest.approx(64.8005, abs=1e-4),
    }  # fmt: skip
    assert all_right.metrics("top1") == {
        "top1": 100, "top1_low": pytest.approx(91.2378, abs=1e-4), "top1_high": pytest.approx(100),
    }  # fmt: skip
