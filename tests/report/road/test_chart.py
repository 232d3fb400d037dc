from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from modernet.records import Record
from modernet.report import summarise_road
from modernet.report.road.chart import cost_chart, notes, road_chart, write_road_png

Runs = Callable[..., Record]
Walk = Callable[..., list[Record]]


def drawn(records: list[Record], path: Path) -> np.ndarray:
    (road,) = summarise_road(records)
    write_road_png(road, path)
    with Image.open(path) as image:
        assert image.format == "PNG"
        return np.asarray(image.convert("RGB"), dtype=np.int16)


def orange(image: np.ndarray) -> int:
    """Return the number of orange pixels: the word "failed", and differences that exclude zero."""
    return int(((image[..., 0] > 150) & (image[..., 1] < 120) & (image[..., 2] < 80)).sum())


@pytest.mark.medium
def test_the_chart_shows_the_numbers(walk: Walk, run: Runs, tmp_path: Path) -> None:
    one = drawn(walk(rows=["0", "1", "7", "8a", "8b"]), tmp_path / "one.png")
    assert one.shape[1] == 1800
    assert one.std() > 20
    other = drawn([*walk(rows=["0", "1", "7", "8a"]), run("8b", top1=87.0)], tmp_path / "other.png")
    assert one.shape == other.shape
    assert np.abs(one - other).max() > 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.png", "other.png"]


@pytest.mark.medium
def test_the_same_records_give_the_same_file(walk: Walk, tmp_path: Path) -> None:
    records = walk(rows=["0", "1"])
    for name in ("one.png", "other.png"):
        drawn(records, tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "other.png").read_bytes()


@pytest.mark.medium
def test_the_chart_grows_by_a_row_per_step(walk: Walk, tmp_path: Path) -> None:
    heights = [
        drawn(walk(seeds=(0,), rows=rows), tmp_path / "a.png").shape[0]
        for rows in (["1", "2"], ["1", "2", "3"], ["1", "2", "3", "4"])
    ]
    assert heights[2] - heights[1] == heights[1] - heights[0] > 40


def test_the_chart_draws_a_road_where_everything_failed(run: Runs, tmp_path: Path) -> None:
    image = drawn([run("1", error="out of memory", macs=None, published_top1=None)], tmp_path / "failed.png")
    assert orange(image) > 50


@pytest.mark.medium
@pytest.mark.parametrize("title", ["datum.mean", "'); alert(1); ('", "{{ x }}", "$\\frac$ x_{", "a\nb", "<b>x</b>"])
def test_titles_are_drawn_as_text_and_never_evaluated(run: Runs, tmp_path: Path, title: str) -> None:
    records = [run("1", title=title, data={"name": title, "n_test": 10})]
    assert drawn(records, tmp_path / "odd.png").std() > 5
    (road,) = summarise_road(records)
    assert road_chart(road)["data"][0]["values"][0]["title"] == title


def test_the_caption_says_only_what_is_drawn(walk: Walk, run: Runs) -> None:
    (road,) = summarise_road(walk())
    assert "Diamonds: the paper" in notes(road)[0]
    assert "in points, with its 95 % Welch interval" in notes(road)[1]
    assert notes(road)[2].startswith("The axis of the bars starts at ")
    (road,) = summarise_road([run("1", top1=0.5, published_top1=None)])
    assert notes(road) == ["Bar: mean. Whisker: ± standard deviation over seeds. Dots: seeds."]


def test_accuracy_against_cost_needs_both(run: Runs) -> None:
    (road,) = summarise_road([run("1", macs=None), run("2", error="killed"), run("3")])
    chart = cost_chart(road)
    assert chart is not None
    assert [step["number"] for step in chart["data"][0]["values"]] == ["3"]
    (road,) = summarise_road([run("1", macs=None)])
    assert cost_chart(road) is None
