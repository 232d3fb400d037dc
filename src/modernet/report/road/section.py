"""The sections of walks of the road."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from modernet.records import Record
from modernet.report.drawing.curves import learning_curves
from modernet.report.origin import origin
from modernet.report.road import wording
from modernet.report.road.chart import cost_chart, notes, road_chart, write_road_png
from modernet.report.road.findings import findings
from modernet.report.road.place import RoadPlace
from modernet.report.road.summary import Road, summarise_road
from modernet.report.section import Chart, Image, Section


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each road that was walked; see `Kind`."""
    return [_section(road) for road in summarise_road(records)]


def _section(road: Road) -> Section:
    charts = [Chart(" ".join([f"Test {road.metric.title} of each step.", *notes(road)]), road_chart(road))]
    if (cost := cost_chart(road)) is not None:
        charts.append(
            Chart("Accuracy against cost. Numbers are the steps' rows; the line follows the adopted steps.", cost)
        )
    lines = {f"{step.row} {step.title}": step.runs for step in road.steps if step.runs}
    rows = [RoadPlace.from_record(record).row for record in road.records]
    content = {
        "road": road,
        "wording": wording,
        "findings": findings(road),
        "charts": charts,
        "curves": learning_curves(lines, road.metric, averaged=True),
        "origin": origin(road.records, rows, _row_range),
    }
    return Section(
        "road",
        f"From ResNet to ConvNeXt on {road.data}",
        f"The road: {road.size}, {road.data}",
        content,
        road.records,
        Image("road", functools.partial(write_road_png, road)),
    )


def _row_range(rows: Sequence[str]) -> str:
    return f"step {rows[0]}" if len(rows) == 1 else f"steps {rows[0]} to {rows[-1]}"
