"""`modernet report`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import tyro

from modernet.cli.options import parse


@dataclass(frozen=True)
class Options:
    """Make one HTML page, which opens offline, of the records in a folder.

    Example: modernet report runs
    """

    folder: tyro.conf.Positional[Path]
    """A folder that runs wrote; records are looked for in it and below it."""
    out: Path | None = None
    """Where the page goes; by default report.html in that folder."""


def main(arguments: Sequence[str]) -> None:
    options = parse(Options, "report", arguments)

    from modernet.records import read_records
    from modernet.report import write_page

    out = options.folder / "report.html" if options.out is None else options.out
    write_page(read_records(options.folder), out)
    print(out)
