"""All that is drawn of some records, into one folder."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from modernet import progress
from modernet.files.atomic import whole_file
from modernet.records import Record
from modernet.report.benchmark.chart import speed_chart
from modernet.report.benchmark.summary import MODES, benchmark_of, summarise_benchmarks
from modernet.report.benchmark.tables import benchmark_markdown
from modernet.report.benchmark.timm_csv import write_timm_csv
from modernet.report.factorial.chart import factorial_chart
from modernet.report.factorial.summary import summarise_factorials
from modernet.report.page import write_page
from modernet.report.road.chart import road_chart
from modernet.report.road.summary import summarise_road

PAGE_NAME, TABLE_NAME = "report.html", "results.md"
_Drawn = TypeVar("_Drawn")


def write_report(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write `report.html`, `road.png` for a road that was walked, `factorial.png` for a factorial study of its
    decisions, and `speed.png` for a benchmark.

    Where there are several of a kind their charts are numbered, `road-1.png`, `road-2.png`, in the order of the page.

    Returns:
        What was written, the page last.

    Raises:
        InputError: as `write_page`.
    """
    roads, studies, benchmarks = summarise_road(records), summarise_factorials(records), summarise_benchmarks(records)
    with progress.task("drawing", len(roads) + len(studies) + len(benchmarks) + 1) as shown:
        written = [
            *_charts(roads, road_chart, folder, "road", shown.advance),
            *_charts(studies, factorial_chart, folder, "factorial", shown.advance),
            *_charts(benchmarks, speed_chart, folder, "speed", shown.advance),
        ]
        write_page(records, folder / PAGE_NAME)
        shown.advance()
    return [*written, folder / PAGE_NAME]


def write_benchmark(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write what one run of `modernet benchmark` found, each file whole or not at all.

    `results.md` is the table for a README, `infer.csv` and `train.csv` the finished cases of each mode under timm's
    column names, `speed.png` the chart.

    Returns:
        What was written.

    Raises:
        ValueError: the records are of several runs, or of none.
    """
    benchmark = benchmark_of(records)
    with whole_file(folder / TABLE_NAME) as unfinished:
        unfinished.write_text(f"# {benchmark.title}\n\n{benchmark_markdown(records)}", encoding="utf-8")
    written = [folder / TABLE_NAME]
    for mode in MODES:
        cases = [case for case in benchmark.finished if case.settings.get("mode") == mode]
        if cases:
            write_timm_csv(cases, folder / f"{mode}.csv")
            written.append(folder / f"{mode}.csv")
    speed_chart(benchmark, folder / "speed.png")
    return [*written, folder / "speed.png"]


def _charts(
    drawn: Sequence[_Drawn], draw: Callable[[_Drawn, Path], None], folder: Path, name: str, advance: Callable[[], None]
) -> list[Path]:
    names = [f"{name}.png"] if len(drawn) == 1 else [f"{name}-{number}.png" for number in range(1, len(drawn) + 1)]
    for one, file in zip(drawn, names, strict=True):
        draw(one, folder / file)
        advance()
    return [folder / file for file in names]
