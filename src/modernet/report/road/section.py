"""The sections of walks of the road."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from modernet.records import Record
from modernet.report.drawing.curves import learning_curves
from modernet.report.origin import origin
from modernet.report.road import wording
from modernet.report.road.chart import road_chart
from modernet.report.road.figure import cost_figure, road_figure
from modernet.report.road.findings import findings
from modernet.report.road.place import RoadPlace
from modernet.report.road.summary import Road, summarise_road
from modernet.report.section import Chart, Image, Section


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each road that was walked; see `Kind`."""
    return [_section(road) for road in summarise_road(records)]


def _section(road: Road) -> Section:
    figure = road_figure(road)
    start = figure["layout"]["xaxis"]["range"][0]
    about_axis = f" The axis starts at {start:g} %, not at 0." if start else ""
    about_paper = f" Diamonds: the paper's {road.published_of}." if road.published_of else ""
    charts = [
        Chart(
            f"Mean test {road.metric.title} of each step; whisker: ± standard deviation over seeds; dots: the seeds."
            + about_paper
            + about_axis,
            figure,
        )
    ]
    cost = cost_figure(road)
    if cost["data"]:
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
        Image("road", functools.partial(road_chart, road)),
    )


def _row_range(rows: Sequence[str]) -> str:
    return f"step {rows[0]}" if len(rows) == 1 else f"steps {rows[0]} to {rows[-1]}"
