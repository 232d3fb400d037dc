"""Records -> tables, charts, one HTML page. Reads records and nothing else; needs no torch."""

from modernet.report.charts import road_chart
from modernet.report.findings import findings
from modernet.report.folder import write_report
from modernet.report.page import write_page
from modernet.report.road import Road, RoadStep, summarise_road
from modernet.report.statistics import spread, welch_interval
from modernet.report.tables import road_markdown, road_table

__all__ = [
    "Road",
    "RoadStep",
    "findings",
    "road_chart",
    "road_markdown",
    "road_table",
    "spread",
    "summarise_road",
    "welch_interval",
    "write_page",
    "write_report",
]
