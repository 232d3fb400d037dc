"""Records -> tables, charts, one HTML page. Reads records and nothing else; needs no torch."""

from modernet.report.benchmark import Benchmark, benchmark_rows, summarise_benchmarks
from modernet.report.benchmark_tables import benchmark_markdown, benchmark_table
from modernet.report.charts import road_chart
from modernet.report.effects import Effect, Effects, alias_sets, estimate_effects
from modernet.report.factorial import Factorial, FactorialNetwork, summarise_factorials
from modernet.report.factorial_chart import factorial_chart
from modernet.report.factorial_tables import factorial_table
from modernet.report.findings import findings
from modernet.report.folder import write_benchmark, write_report
from modernet.report.page import write_page
from modernet.report.road import Road, RoadStep, summarise_road
from modernet.report.speed_chart import speed_chart
from modernet.report.statistics import spread, welch_interval
from modernet.report.tables import road_markdown, road_table

__all__ = [
    "Benchmark",
    "Effect",
    "Effects",
    "Factorial",
    "FactorialNetwork",
    "Road",
    "RoadStep",
    "alias_sets",
    "benchmark_markdown",
    "benchmark_rows",
    "benchmark_table",
    "estimate_effects",
    "factorial_chart",
    "factorial_table",
    "findings",
    "road_chart",
    "road_markdown",
    "road_table",
    "speed_chart",
    "spread",
    "summarise_benchmarks",
    "summarise_factorials",
    "summarise_road",
    "welch_interval",
    "write_benchmark",
    "write_page",
    "write_report",
]
