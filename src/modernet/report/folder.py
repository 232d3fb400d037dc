"""All that is drawn of some records, into one folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modernet import progress
from modernet.records import Record
from modernet.report.charts import road_chart
from modernet.report.page import write_page
from modernet.report.road import summarise_road

PAGE_NAME = "report.html"


def write_report(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write `report.html`, and `road.png` for a road that was walked; with several roads, `road-1.png`, ...

    Returns:
        What was written, the page last.

    Raises:
        InputError: as `write_page`.
    """
    roads = summarise_road(records)
    written = []
    with progress.task("drawing", len(roads) + 1) as shown:
        for number, road in enumerate(roads, start=1):
            chart = folder / ("road.png" if len(roads) == 1 else f"road-{number}.png")
            road_chart(road, chart)
            written.append(chart)
            shown.advance()
        write_page(records, folder / PAGE_NAME)
        shown.advance()
    return [*written, folder / PAGE_NAME]
