from __future__ import annotations

import itertools
import random
import re

import pytest
import vl_convert

from modernet.report.drawing.figure import figure, quantitative
from modernet.report.drawing.point_labels import ABOVE, LabelledPoint, point_labels
from modernet.report.drawing.theme import themed

Box = tuple[float, float, float, float]  # left, top, right, bottom


def drawn(points: list[LabelledPoint]) -> dict[str, tuple[float, float]]:
    """Return the anchor of each label that Vega drew, in pixels."""
    encoding = {name: quantitative(name, scale={"domain": [0, 100], "nice": False}) for name in ("x", "y")}
    rows = [{"x": point.x, "y": point.y} for point in points]
    layer = {"mark": {"type": "point", "size": 200}, "encoding": encoding}
    chart = figure(rows, [layer], height=400, labels=point_labels(points, ABOVE))
    svg = vl_convert.vega_to_svg(themed(chart))
    svg = svg[svg.index("point_labels") :]
    pattern = r'<text [^>]*?transform="translate\(([-\d.]+),\s*([-\d.]+)\)"[^>]*?opacity="1"[^>]*>(label \d+)</text>'
    return {text: (float(x), float(y)) for x, y, text in re.findall(pattern, svg)}


def test_a_lone_label_is_above_its_point() -> None:
    ((x, y),) = drawn([LabelledPoint(50, 50, "label 0", 16)]).values()
    assert 380 < x < 480
    assert 170 < y < 195


@pytest.mark.parametrize("seed", range(3))
def test_labels_of_a_crowded_chart_do_not_overlap(seed: int) -> None:
    chance = random.Random(seed)
    points = [
        LabelledPoint(chance.uniform(40, 60), chance.uniform(40, 60), f"label {index}", 16, [(50.0, 50.0)])
        for index in range(12)
    ]
    places = drawn(points)
    assert len(places) >= 9  # one without room is left out
    apart = [abs(a[0] - b[0]) >= 20 or abs(a[1] - b[1]) >= 9 for a, b in itertools.combinations(places.values(), 2)]
    assert all(apart)


def test_a_chart_without_points_has_no_labels() -> None:
    assert drawn([]) == {}
