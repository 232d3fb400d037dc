"""Turn records into tables, charts and one HTML page. Needs nothing but records, and no torch."""

from modernet.report.advise.tables import advice_table
from modernet.report.advise.words import advice_words
from modernet.report.arena.place import ArenaPlace
from modernet.report.arena.summary import Arena, summarise_arenas
from modernet.report.arena.tables import arena_cells, arena_markdown, arena_table
from modernet.report.benchmark.case import BenchmarkCase
from modernet.report.benchmark.folder import write_benchmark
from modernet.report.benchmark.summary import Benchmark, benchmark_rows, summarise_benchmarks
from modernet.report.benchmark.tables import benchmark_markdown, benchmark_table
from modernet.report.compare.analysis import Comparison, summarise_comparisons
from modernet.report.compare.tables import compare_json, compare_table
from modernet.report.compare.words import conclusion
from modernet.report.factorial.effects import Effect, Effects, alias_sets, estimate_effects
from modernet.report.factorial.place import FactorialPlace
from modernet.report.factorial.summary import Factorial, FactorialNetwork, summarise_factorials
from modernet.report.factorial.tables import factorial_table
from modernet.report.folder import write_report
from modernet.report.page import write_page
from modernet.report.published import write_explorer
from modernet.report.road.findings import findings
from modernet.report.road.place import RoadPlace
from modernet.report.road.summary import Road, RoadStep, summarise_road
from modernet.report.road.tables import road_markdown, road_table

__all__ = [
    "Arena",
    "ArenaPlace",
    "Benchmark",
    "BenchmarkCase",
    "Comparison",
    "Effect",
    "Effects",
    "Factorial",
    "FactorialNetwork",
    "FactorialPlace",
    "Road",
    "RoadPlace",
    "RoadStep",
    "advice_table",
    "advice_words",
    "alias_sets",
    "arena_cells",
    "arena_markdown",
    "arena_table",
    "benchmark_markdown",
    "benchmark_rows",
    "benchmark_table",
    "compare_json",
    "compare_table",
    "conclusion",
    "estimate_effects",
    "factorial_table",
    "findings",
    "road_markdown",
    "road_table",
    "summarise_arenas",
    "summarise_benchmarks",
    "summarise_comparisons",
    "summarise_factorials",
    "summarise_road",
    "write_benchmark",
    "write_explorer",
    "write_page",
    "write_report",
]
