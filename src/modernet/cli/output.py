"""Output of the verbs: tables for people, JSON for programs. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modernet.errors import InputError

if TYPE_CHECKING:
    from rich.table import Table

    from modernet.records import Metric

_PIPE_WIDTH = 400


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=1, allow_nan=False))


def print_table(table: Table) -> None:
    """Print a table; in a pipe without color, and wide enough to truncate nothing."""
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    console.print(table)


def print_report(folder: Path, chart: str) -> None:
    """Print the paths of a folder's chart and page, as far as they could be drawn."""
    for title, path in (("chart: ", folder / chart), ("page:  ", folder / "report.html")):
        if path.exists():
            print(f"{title}{path}")


def check_free_of_records(folder: Path) -> None:
    """Check that a record can be written to a folder, and replaces none, such as that of a run.

    Raises:
        InputError: it cannot, or there is one.
    """
    from modernet.files.atomic import check_writable
    from modernet.records import RECORD_NAME

    if (folder / RECORD_NAME).exists():
        raise InputError(f"{folder} has a {RECORD_NAME}; give another --out, or remove it")
    check_writable(folder)


def simple_table(title: str, columns: dict[str, bool], rows: list[list[str]]) -> Table:
    """Make a table of text.

    Args:
        columns: heading -> whether the column holds numbers, which are aligned to the right.
    """
    from rich import box
    from rich.table import Table
    from rich.text import Text

    line = Text(title, no_wrap=True, overflow="ignore")  # or it is wrapped at the width of a narrow table
    table = Table(title=line, title_justify="left", box=box.SIMPLE_HEAD)
    for heading, numeric in columns.items():
        table.add_column(heading, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*map(Text, row))  # not str, in which rich reads markup
    return table


def results(metrics: Iterable[Metric], values: Mapping[str, float], split: str = "") -> str:
    """Format metrics with their number of samples: `top-1 93.13 % (92.62 to 93.61), top-5 99.20 % (n = 10000)`.

    Args:
        values: by the metric's name, with `split` and an underscore in front if it is given; `n` among them, and
            perhaps the ends of an interval, `NAME_low` and `NAME_high`.
    """
    prefix = split and f"{split}_"
    n = values.get(f"{prefix}n")
    texts = []
    for metric in metrics:
        name, digits = prefix + metric.name, metric.digits_for(n)
        if name in values:
            text = f"{metric.title} {values[name]:.{digits}f} {metric.unit}".rstrip()
            if f"{name}_low" in values:
                text += f" ({values[f'{name}_low']:.{digits}f} to {values[f'{name}_high']:.{digits}f})"
            texts.append(text)
    return ", ".join(texts) + ("" if n is None else f" (n = {n:.0f})")


def quantity(count: int) -> str:
    """Format a count with four digits and a prefix: `4.456 G`, `28.59 M`, `71.81 k`."""
    for prefix, unit in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= unit:
            return f"{count / unit:.4g} {prefix}"
    return str(count)


def plain(value: Any) -> str:
    """Format a value of a recipe briefly; a dash for None and empty values."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
