"""`modernet report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from modernet.cli.options import parse


@dataclass(frozen=True)
class Options:
    """Make one HTML page, which opens offline, of the records in a folder; and a chart of every road and benchmark.

    Example: modernet report runs
    """

    folder: tyro.conf.Positional[Path]
    """A folder that runs wrote; records are looked for in it and below it."""
    out: Path | None = None
    """Folder for report.html and the charts; by default the same."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "report", arguments)

    from modernet.records import read_records
    from modernet.report import write_report

    for path in write_report(read_records(options.folder), options.out or options.folder):
        print(path)
