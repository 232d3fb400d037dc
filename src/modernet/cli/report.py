"""`modernet report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from modernet.cli.options import parse


@dataclass(frozen=True)
class Options:
    """Make a report of all runs in a folder: one HTML page that works offline, and a chart per road and benchmark.

    Example: modernet report runs
    """

    folder: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FOLDER")]
    """Folder with runs; subfolders are included."""
    out: Path | None = None
    """Folder for report.html and the charts; by default the folder itself."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "report", arguments)

    from modernet.records import read_records
    from modernet.report import write_report

    for path in write_report(read_records(options.folder), options.out or options.folder):
        print(path)
