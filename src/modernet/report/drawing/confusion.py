"""The confusion matrix of a run: a heat map, and the pairs of classes that are confused most.

Objects have a further column, of those that were missed, and a further row, of false alarms.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from modernet.report.drawing.figure import ABOUT, Spec, figure, row, tooltip
from modernet.report.drawing.theme import BAR, CLEAR, DOT, FAINT, INK, PAPER

_MOST_CLASSES = 40  # of a heat map; the cells of more are too small to point at
_MOST_NUMBERED = 14  # classes, for numbers in the cells
_MOST_NARROW = 20  # classes with names below the columns on a phone
_MOST_PAIRS = 12
_MISSED, _FALSE_ALARMS = "(missed)", "(false alarms)"
_EMPTY = "light-dark(#fdf6f0, #241d16)"


@dataclass(frozen=True)
class Pair:
    """A class and another for which it is taken, or `(missed)`."""

    true: str
    predicted: str
    count: int
    total: int
    """Count of the true class."""

    @property
    def share(self) -> float:
        """In [0, 1]."""
        return self.count / self.total


def confused_pairs(confusion: Mapping[str, Any]) -> list[Pair]:
    """Return the pairs of classes with the largest shares of the true one.

    Args:
        confusion: as in a record's `details`.
    """
    k = len(confusion["classes"])
    wrong = [pair for row, column, pair in _cells(confusion) if row != column and row < k]
    return sorted(wrong, key=lambda pair: -pair.share)[:_MOST_PAIRS]


def confusion_chart(confusion: Mapping[str, Any]) -> Spec | None:
    """Draw a confusion matrix with normalised rows, right answers in blue and wrong ones in orange; None if it has too
    many classes.
    """
    names, columns, _ = _matrix(confusion)
    k = len(confusion["classes"])
    if k > _MOST_CLASSES:
        return None
    rows: list[dict[str, Any]] = []
    for true, predicted, pair in _cells(confusion):
        if true == predicted:
            title = f"{pair.true}, found"
        elif k in (true, predicted):
            title = f"{pair.predicted}, false alarms" if true == k else f"{pair.true}, missed"
        else:
            title = f"{pair.true} taken for {pair.predicted}"
        rows.append(
            {
                "row": true,
                "column": predicted,
                "share": pair.share,
                "text": f"{100 * pair.share:.0f}" if pair.share >= 0.005 else "",
                "about": tooltip([title, f"{pair.count:,} of {pair.total:,}: {100 * pair.share:.2g} %"]),
            }
        )
    y = row(len(names))
    x = {**y, "field": "column"}
    labels = [
        {"row": index, "column": index, "name": name, "below": below}
        for index, (name, below) in enumerate(zip(names, columns, strict=True))
    ]
    crowded = str(len(names) > _MOST_NARROW).lower()
    layers: list[Spec] = [
        _rectangles("datum.row === datum.column", BAR, DOT, x, y),
        _rectangles("datum.row !== datum.column", _EMPTY, CLEAR, x, y),
        {
            "data": {"values": labels},
            "mark": {
                "type": "text", "align": "right", "x": -8, "limit": {"expr": "narrow ? 80 : 160"}, "color": FAINT,
                "text": {"expr": "datum.name"},
            },
            "encoding": {"y": y},
        },
        {
            "data": {"values": labels},
            "mark": {
                "type": "text", "align": "right", "y": {"expr": "height + 8"}, "angle": -90, "limit": 120,
                "color": FAINT, "text": {"expr": f"narrow && {crowded} ? '' : datum.below"},
            },
            "encoding": {"x": x},
        },
    ]  # fmt: skip
    if len(names) <= _MOST_NUMBERED:
        color = {"condition": {"test": "datum.share > 0.3", "value": PAPER}, "value": INK}
        mark = {"type": "text", "fontSize": {"expr": "narrow ? 9 : 12"}, "text": {"expr": "datum.text"}}
        layers.append({"mark": mark, "encoding": {"x": x, "y": y, "color": color, "tooltip": ABOUT}})
    step = 30 if len(names) <= _MOST_NUMBERED else 18
    return figure(rows, layers, height={"step": step}, resolve={"scale": {"color": "independent"}})


def _rectangles(where: str, least: str, most: str, x: Spec, y: Spec) -> Spec:
    scale = {"type": "sqrt", "domain": [0, 1], "range": [least, most]}  # or shares of some per cent would be invisible
    color = {"field": "share", "type": "quantitative", "scale": scale, "legend": None}
    mark = {"type": "rect", "stroke": PAPER, "strokeWidth": 1}
    encoding = {"x": x, "y": y, "color": color, "tooltip": ABOUT}
    return {"transform": [{"filter": where}], "mark": mark, "encoding": encoding}


def _cells(confusion: Mapping[str, Any]) -> list[tuple[int, int, Pair]]:
    """Return the cells of the matrix that are not empty: true and predicted class, and their counts."""
    names, columns, rows = _matrix(confusion)
    return [
        (true, predicted, Pair(names[true], columns[predicted], count, sum(counts)))
        for true, counts in enumerate(rows)
        for predicted, count in enumerate(counts)
        if count
    ]


def _matrix(confusion: Mapping[str, Any]) -> tuple[list[str], list[str], list[list[int]]]:
    """Return the names of rows and columns, and the counts; of objects with those that were missed and false alarms."""
    names, counts = list(confusion["classes"]), list(confusion["counts"])
    if "missed" not in confusion:
        return names, names, counts
    rows = [[*row, missed] for row, missed in zip(counts, confusion["missed"], strict=True)]
    return [*names, _FALSE_ALARMS], [*names, _MISSED], [*rows, [*confusion["false_alarms"], 0]]
