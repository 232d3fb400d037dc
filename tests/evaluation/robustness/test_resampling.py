from __future__ import annotations

import numpy as np
import pytest

from modernet.evaluation.robustness.resampling import estimate, resampled_means, share_estimates


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
    assert (found.value, found.interval.low, found.interval.high) == (
        7.0,
        pytest.approx(49.975),
        pytest.approx(1949.025),
    )


def test_shares_are_per_cent_and_have_metrics_of_a_record() -> None:
    (half, all_right) = share_estimates(np.array([[True, True], [False, True]] * 20))
    assert half.metrics("top1") == {
        "top1": 50, "top1_low": pytest.approx(35, abs=2.6), "top1_high": pytest.approx(65, abs=2.6),
    }  # fmt: skip
    assert (all_right.value, all_right.interval.low, all_right.interval.high) == (100, 100, 100)
