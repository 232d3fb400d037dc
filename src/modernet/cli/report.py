"""`modernet report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from modernet.cli.options import parse
from modernet.errors import InputError

PUBLISHED_NAME = "published.html"


@dataclass(frozen=True)
class Options:
    """Make a report of all runs in a folder: one HTML page that works offline, and a chart per road and benchmark.

    Examples:
      modernet report runs
      modernet report --published             1,800 published results: accuracy, robustness, size and speed
      modernet report --published runs        the same, with the networks that you have measured among them
    """

    folder: Annotated[Path | None, tyro.conf.Positional, tyro.conf.arg(metavar="[FOLDER]")] = None
    """Folder with runs; subfolders are included."""
    published: bool = False
    """Make a page of published results instead, published.html, with the points of the folder's records if one is
    given: benchmarks of networks with a published accuracy, and what was tested on ImageNet."""
    out: Path | None = None
    """Folder for the page and the charts; by default the folder itself, or the current one."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "report", arguments)

    from modernet.records import read_records
    from modernet.report import write_explorer, write_report
    from modernet.report.drawing.room import missing_room

    missing = missing_room()
    if missing is not None:
        raise InputError(missing)

    if options.published:
        records = [] if options.folder is None else read_records(options.folder)
        path = (options.out or options.folder or Path()) / PUBLISHED_NAME
        own = write_explorer(path, records)
        if options.folder is not None:
            print(f"points measured here: {own}")
        print(path)
        return
    if options.folder is None:
        raise InputError("give the folder with runs, such as runs; or --published for the results of others")
    for path in write_report(read_records(options.folder), options.out or options.folder):
        print(path)
