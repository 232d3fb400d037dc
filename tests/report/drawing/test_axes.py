from __future__ import annotations

import pytest

from modernet.records import CLASSIFICATION, Metric
from modernet.report.drawing.axes import log_ticks, metric_limits

TOP1 = CLASSIFICATION[0]
LOSS = Metric("loss", "loss", "", 3, higher_is_better=False, limits=(0.0, None))


@pytest.mark.parametrize(
    "values", [[82.6, 91.2], [90.0], [0.5, 30.0], [99.2, 99.9], [45.0, 46.0, 90.0], [0.0], [100.0]]
)
def test_the_axis_spans_every_value_and_stays_within_the_limits_of_the_metric(values: list[float]) -> None:
    low, high = metric_limits(values, TOP1)
    assert 0 <= low <= min(values)
    assert max(values) <= high <= 100
    assert low < min(values) or low == 0


@pytest.mark.parametrize("values", [[0.0123, 0.0145], [3.0, 2500.0], [1.0]])
def test_the_axis_of_a_metric_without_an_upper_limit_fits_its_values(values: list[float]) -> None:
    low, high = metric_limits(values, LOSS)
    assert 0 <= low <= min(values)
    assert max(values) <= high <= 2 * max(values)


def test_an_axis_without_values_spans_the_limits_of_the_metric() -> None:
    assert metric_limits([], TOP1) == (0.0, 100.0)
    assert metric_limits([], LOSS) == (0.0, 1.0)


@pytest.mark.parametrize(("low", "high"), [(1, 1000), (8_000, 90_000), (6, 12), (3.2, 4.2), (0.2, 0.9), (950, 1050)])
def test_the_ticks_of_a_logarithmic_axis_are_round_and_within_it(low: float, high: float) -> None:
    ticks = log_ticks(low, high)
    assert len(ticks) >= 3 or (low, high) == (950, 1050)
    assert len(ticks) >= 1
    assert all(low <= tick <= high for tick in ticks)
    assert ticks == sorted(ticks)
    assert all(len(f"{tick:.10g}".replace(".", "").strip("0")) <= 2 for tick in ticks)


def test_a_logarithmic_axis_that_starts_at_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot start at 0; give a positive number"):
        log_ticks(0, 10)
