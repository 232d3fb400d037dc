"""What the test of a run showed besides numbers: what it confuses, its curves, its worst images, some point clouds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from modernet.records import Record
from modernet.report.drawing.clouds import gallery, legend
from modernet.report.drawing.confusion import Pair, confused_pairs, confusion_chart
from modernet.report.drawing.png import Panel, write_png
from modernet.report.drawing.precision_recall import precision_recall_curves
from modernet.report.section import Chart, Curves

_DRAWN = {
    "segmentation": "Each shows the image, its true classes and the predicted ones.",
    "detection": "Solid lines are detections, named where they are wrong; dashed lines are objects, filled if missed.",
}
_CLOUDS = {
    "points": "The first ones of each class, from a fixed view. The darker a point, the nearer it is.",
    "point_segmentation": "The first ones, from a fixed view: on the left by the true classes of their points, on the "
    "right by the predicted ones.",
}
_CONFUSION = (
    "Rows are true classes, columns predicted ones; numbers are per cent of the row. Orange is wrong. Colours grow "
    "with the square root, so that small shares are visible."
)
_OF_OBJECTS = (
    " What was found counts from a score of {score:g} on, as the object that it overlaps most, by an IoU of {iou:g} or "
    "more. The last column has missed objects, the last row false alarms."
)


@dataclass(frozen=True)
class Errors:
    """The details of one run.

    Attributes:
        label: of the run.
        confusion: None for too many classes, or if there is none.
        pairs: the most confused classes.
        curves: precision by recall.
        misses: the images with the worst results.
        drawn: what their drawings show.
        clouds: pictures of point clouds, in the form of `misses`.
        clouds_drawn: what these show.
        colours: of the classes in them; None if these have none.
    """

    label: str
    confusion: Chart | None
    pairs: Sequence[Pair]
    curves: Curves | None
    misses: Sequence[Mapping[str, str]]
    drawn: str
    clouds: Sequence[Mapping[str, str]]
    clouds_drawn: str
    colours: Chart | None

    @property
    def has_charts(self) -> bool:
        """Whether there is something for `write_errors_png`."""
        return self.confusion is not None or self.curves is not None or bool(self.clouds)

    @property
    def shown(self) -> bool:
        """Whether there is anything to show."""
        return any((self.confusion, self.pairs, self.curves, self.misses, self.clouds))


def errors(label: str, run: Record) -> Errors:
    """Return what a run with `details` has of them."""
    matrix, curves = run.details.get("confusion"), run.details.get("precision_recall")
    chart = matrix and confusion_chart(matrix)
    clouds, task = run.details.get("clouds", {"pictures": [], "colours": []}), run.settings.get("task", "")
    caption = _CONFUSION + (_OF_OBJECTS.format(**matrix) if matrix and "missed" in matrix else "")
    return Errors(
        label,
        Chart(caption, chart) if chart else None,
        confused_pairs(matrix) if matrix else [],
        precision_recall_curves(curves) if curves else None,
        run.details.get("misses", []),
        _DRAWN.get(task, ""),
        clouds["pictures"],
        _CLOUDS.get(task, ""),
        legend(clouds["colours"]),
    )


def write_errors_png(title: str, split: str, found: Sequence[Errors], path: Path) -> None:
    """Write the charts of some runs on a split as a PNG."""
    panels = []
    for each in found:
        if each.confusion is not None:
            panels.append(Panel(each.confusion.figure, f"{each.label}: confusion", [each.confusion.caption]))
        for chart in each.curves.charts if each.curves is not None else ():
            panels.append(Panel(chart.figure, f"{each.label}: precision and recall", [chart.caption]))
        if each.clouds:
            panels.append(Panel(gallery(each.clouds), f"{each.label}: some clouds", [each.clouds_drawn]))
        if each.colours is not None:
            panels.append(Panel(each.colours.figure))
    write_png(path, title, f"on the {split} split", panels)
