from __future__ import annotations

import itertools
import random

import pytest

from modernet.report.drawing.label_places import Box, distance, place_labels

BOUNDS = Box(0, 0, 1600, 800)
LABEL = (180.0, 24.0)


def mark(x: float, y: float, radius: float = 15) -> Box:
    return Box(x - radius, y - radius, 2 * radius, 2 * radius)


def test_a_lone_label_stands_beside_its_mark() -> None:
    (place,) = place_labels([mark(800, 400)], [LABEL], BOUNDS)
    assert place.left > 815
    assert place.bottom + place.height / 2 == pytest.approx(400)


def test_a_label_at_the_edge_stays_within_bounds() -> None:
    for x, y in ((1590, 400), (5, 400), (1590, 790), (5, 5)):
        (place,) = place_labels([mark(x, y)], [LABEL], BOUNDS)
        assert place.overlap(BOUNDS) == pytest.approx(LABEL[0] * LABEL[1])


@pytest.mark.parametrize("seed", range(4))
def test_the_labels_of_a_crowded_dozen_lie_on_no_label_and_on_no_mark(seed: int) -> None:
    chance = random.Random(seed)
    crowd = [mark(600 + chance.uniform(0, 200), 500 + chance.uniform(0, 150)) for _ in range(5)]
    marks = [*crowd, *(mark(chance.uniform(50, 1550), chance.uniform(50, 750)) for _ in range(7))]
    places = place_labels(marks, [LABEL] * len(marks), BOUNDS)
    assert all(one.overlap(other) == 0 for one, other in itertools.combinations(places, 2))
    assert all(place.overlap(one) == 0 for place in places for one in marks)
    assert all(distance(place, own) < 200 for place, own in zip(places, marks, strict=True))


def test_no_marks_have_no_labels() -> None:
    assert place_labels([], [], BOUNDS) == []
