"""The sections of runs of `modernet benchmark`."""

from __future__ import annotations

import functools
from collections.abc import Sequence

from modernet.records import Record
from modernet.report.benchmark.chart import accuracy_chart, speed_chart, write_speed_png
from modernet.report.benchmark.summary import Benchmark, summarise_benchmarks
from modernet.report.benchmark.tables import facts, legend, measured_columns, network_column
from modernet.report.benchmark.wording import case_names, group_label
from modernet.report.notation import heading
from modernet.report.origin import origin
from modernet.report.section import Chart, Image, Section

_ABOUT_ACCURACY = (
    "Accuracy: published with the network, not measured here; a network without one is not drawn. Each network at the "
    "fastest of its settings. Area: parameters; whisker: quartiles."
)


def sections(records: Sequence[Record]) -> list[Section]:
    """Return a section for each run of `modernet benchmark`; see `Kind`."""
    return [_section(benchmark) for benchmark in summarise_benchmarks(records)]


def _section(benchmark: Benchmark) -> Section:
    charts = []
    for cases in benchmark.groups:
        group = f" ({label})" if (label := group_label(benchmark, cases)) else ""
        speed = speed_chart(benchmark, cases)
        charts.append(
            Chart(f"{heading(benchmark.unit)} per second{group}: median over rounds; whisker: quartiles.", speed)
        )
        if (accuracy := accuracy_chart(cases)) is not None:
            charts.append(Chart(f"Accuracy against speed{group}. {_ABOUT_ACCURACY}", accuracy))
    networks = network_column(benchmark)
    content = {
        "facts": facts(benchmark),
        "legend": legend(benchmark),
        "networks": networks,
        "columns": measured_columns(benchmark),
        "errors": [case.error for case in benchmark.cases],
        "charts": charts,
        "origin": origin(benchmark.cases, case_names(benchmark), ", ".join),
    }
    more = ", …" if len(networks.cells) > 1 else ""
    return Section(
        "benchmark",
        benchmark.title,
        f"{benchmark.title}: {networks.cells[0].value}{more}",
        content,
        benchmark.cases,
        Image("speed", functools.partial(write_speed_png, benchmark)),
    )
