from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modernet.records import Record
from modernet.report import road_chart, summarise_road
from modernet.report.road.chart import accuracy_limits

Runs = Callable[..., Record]
Walk = Callable[..., list[Record]]


def drawn(records: list[Record], path: Path) -> np.ndarray:
    (road,) = summarise_road(records)
    road_chart(road, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def test_the_chart_is_a_picture_of_the_numbers(walk: Walk, run: Runs, tmp_path: Path) -> None:
    one = drawn(walk(rows=["0", "1", "7", "8a", "8b"]), tmp_path / "one.png")
    assert one.shape[1] == 1800
    assert one.std() > 20
    other = drawn([*walk(rows=["0", "1", "7", "8a"]), run("8b", top1=87.0)], tmp_path / "other.png")
    assert one.shape == other.shape
    assert np.abs(one - other).max() > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "other.png"]


def test_the_chart_grows_by_a_row_a_step(walk: Walk, tmp_path: Path) -> None:
    heights = [
        drawn(walk(seeds=(0,), rows=rows), tmp_path / "a.png").shape[0] for rows in (["1"], ["1", "2"], ["1", "2", "3"])
    ]
    assert heights[2] - heights[1] == heights[1] - heights[0] > 40


def test_the_chart_draws_a_road_where_everything_failed(run: Runs, tmp_path: Path) -> None:
    picture = drawn([run("1", error="out of memory", macs=None, published_top1=None)], tmp_path / "failed.png")
    orange = (picture[..., 0] > 150) & (picture[..., 1] < 120) & (picture[..., 2] < 80)
    assert orange.sum() > 50  # the word "failed"


def test_titles_with_the_signs_of_formulas_are_drawn_as_text(run: Runs, tmp_path: Path) -> None:
    assert (
        drawn([run("1", title=r"$\frac$ x_{", data={"name": "$\\bad$", "n_test": 10})], tmp_path / "odd.png").std() > 5
    )


@pytest.mark.parametrize(
    "values", [[82.6, 91.2], [90.0], [0.5, 30.0], [99.2, 99.9], [45.0, 46.0, 90.0], [0.0], [100.0]]
)
def test_the_axis_holds_every_value_and_stays_within_the_scale(values: list[float]) -> None:
    low, high = accuracy_limits(values)
    assert 0 <= low <= min(values)
    assert max(values) <= high <= 100
    assert low < min(values) or low == 0


def test_the_axis_of_no_values_is_the_whole_scale() -> None:
    assert accuracy_limits([]) == (0.0, 100.0)
