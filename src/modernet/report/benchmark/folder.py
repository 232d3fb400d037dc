"""Write the results of one run of `modernet benchmark` into a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modernet.files.atomic import whole_file
from modernet.records import Record
from modernet.report.benchmark.chart import write_speed_png
from modernet.report.benchmark.summary import MODES, benchmark_of, setting
from modernet.report.benchmark.tables import benchmark_markdown
from modernet.report.benchmark.timm_csv import write_timm_csv

TABLE_NAME = "results.md"


def write_benchmark(records: Sequence[Record], folder: Path) -> list[Path]:
    """Write the results of one run of `modernet benchmark`, each file atomically.

    `results.md` is the table for a README, `infer.csv` and `train.csv` are the finished cases of each mode with timm's
    column names, `speed.png` is the chart.

    Returns:
        The files written.

    Raises:
        ValueError: the records are not from exactly one run.
    """
    benchmark = benchmark_of(records)
    with whole_file(folder / TABLE_NAME) as unfinished:
        unfinished.write_text(f"# {benchmark.title}\n\n{benchmark_markdown(records)}", encoding="utf-8")
    written = [folder / TABLE_NAME]
    for mode in MODES:
        cases = [case for case in benchmark.finished if setting(case, "mode") == mode]
        if cases:
            write_timm_csv(cases, folder / f"{mode}.csv")
            written.append(folder / f"{mode}.csv")
    write_speed_png(benchmark, folder / "speed.png")
    return [*written, folder / "speed.png"]
