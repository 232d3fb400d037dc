"""Where the names of a chart's marks can stand without lying on one another."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_STRAIGHT = ((1.0, 0.0), (-1.0, 0.0), (0.0, 1.0), (0.0, -1.0))  # first, since the first of equal places wins
_SLANTED = tuple(
    (right, up) for right in (1.0, -1.0, 0.5, -0.5) for up in (1.0, -1.0, 0.5, -0.5) if abs(right) + abs(up) > 1
)
_GAPS = (0.25, 0.9, 1.7, 2.6, 3.6, 4.8, 6.5, 8.5)  # between mark and label, in heights of a label
_PASSES = 4  # each label is placed again among all others; later passes move few


@dataclass(frozen=True)
class Box:
    """A rectangle with y upwards, in any unit."""

    left: float
    bottom: float
    width: float
    height: float

    def overlap(self, other: Box) -> float:
        """The area that both cover."""
        across = min(self.left + self.width, other.left + other.width) - max(self.left, other.left)
        up = min(self.bottom + self.height, other.bottom + other.height) - max(self.bottom, other.bottom)
        return max(across, 0.0) * max(up, 0.0)


def place_labels(marks: Sequence[Box], sizes: Sequence[tuple[float, float]], bounds: Box) -> list[Box]:
    """A place near its mark for each label.

    Of the places around its mark, each label takes the one that covers least of other labels, of marks, and of what
    is out of bounds; among equals the nearest. All are placed in order, then again among the others.

    Args:
        marks: the rectangle of each mark with its error bars.
        sizes: width and height of each mark's label.
        bounds: where labels may stand.
    """
    places: dict[int, Box] = {}
    for _ in range(_PASSES):
        for i, (mark, size) in enumerate(zip(marks, sizes, strict=True)):
            taken = [*marks, *(place for j, place in places.items() if j != i)]
            places[i] = min(_around(mark, size), key=lambda place: _cost(place, mark, taken, bounds))
    return [places[i] for i in range(len(marks))]


def distance(label: Box, mark: Box) -> float:
    """From the middle of the mark to the nearest point of the label."""
    x, y = mark.left + mark.width / 2, mark.bottom + mark.height / 2
    across = max(label.left - x, x - label.left - label.width, 0.0)
    up = max(label.bottom - y, y - label.bottom - label.height, 0.0)
    return math.hypot(across, up)


def _around(mark: Box, size: tuple[float, float]) -> Iterator[Box]:
    width, height = size
    x, y = mark.left + mark.width / 2, mark.bottom + mark.height / 2
    for gap in _GAPS:
        for right, up in (*_STRAIGHT, *_SLANTED):
            reach = gap * height * (math.sqrt(0.5) if abs(right * up) == 1 else 1.0)
            left = x - width / 2 + right * (mark.width / 2 + reach + width / 2)
            bottom = y - height / 2 + up * (mark.height / 2 + reach + height / 2)
            yield Box(left, bottom, width, height)


def _cost(place: Box, mark: Box, taken: Sequence[Box], bounds: Box) -> tuple[float, float]:
    """The area that is covered or out of bounds, and only then the distance."""
    covered = sum(place.overlap(other) for other in taken) + place.width * place.height - place.overlap(bounds)
    return round(covered, 3), distance(place, mark)  # rounded, because areas within bounds differ in the last digits
