from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from modernet.records import Record
from modernet.report.drawing.curves import averaged, curves
from modernet.report.drawing.theme import ramp, themed

Runs = Callable[..., Record]


def values_of(chart: dict[str, Any] | None) -> list[tuple[int, float, float]]:
    assert chart is not None
    return [(row["line"], row["epoch"], row["value"]) for row in chart["data"][0]["values"]]


def test_learning_curves_average_the_seeds_epoch_by_epoch(run: Runs) -> None:
    first = dataclasses.replace(run("1"), history=[{"epoch": 1, "train_loss": 2.0}, {"epoch": 2, "train_loss": 1.0}])
    second = dataclasses.replace(
        run("1"), history=[{"epoch": 1, "train_loss": 4.0}, {"epoch": 2, "validation_top1": 9.0}]
    )
    assert averaged([first, second], "train_loss") == {1: 3.0, 2: 1.0}
    chart = curves({"a": [first, second], "b": [first]}, "train_loss", "loss", ramp(2))
    assert values_of(chart) == [(0, 1, 3.0), (0, 2, 1.0), (1, 1, 2.0), (1, 2, 1.0)]


def test_a_column_that_no_run_has_gives_no_chart(run: Runs) -> None:
    assert curves({"a": [run("1")]}, "validation_miou", "mIoU", ramp(1)) is None


def test_a_loss_that_is_not_positive_is_drawn_on_a_linear_axis(run: Runs) -> None:
    def scale_of(loss: float) -> str:
        record = dataclasses.replace(run("1"), history=[{"epoch": 1, "train_loss": loss}])
        chart = curves({"a": [record]}, "train_loss", "loss", ramp(1), logarithmic=True)
        assert chart is not None
        (scale,) = (scale for scale in chart["scales"] if scale["name"] == "y")
        return str(scale["type"])

    assert (scale_of(0.5), scale_of(-0.5)) == ("log", "linear")


def test_the_lines_of_a_chart_have_distinct_colours() -> None:
    assert len(set(ramp(17))) == 17
    assert ramp(1) == ["light-dark(#33105e, #8d7be0)"]


def test_a_theme_replaces_pairs_of_colours_and_nothing_else() -> None:
    chart = {"fill": "light-dark(#fff, #000)", "rows": [{"text": "see light-dark(#fff, #000)"}], "width": 9}
    assert themed(chart) == {"fill": "#fff", "rows": [{"text": "see light-dark(#fff, #000)"}], "width": 9}
    assert themed(chart, dark=True)["fill"] == "#000"
