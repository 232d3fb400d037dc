"""What verbs print: tables for people, JSON for programs. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_PIPE_WIDTH = 400


def print_json(value: Any) -> None:
    """Print a value as JSON."""
    print(json.dumps(value, indent=1, allow_nan=False))


def print_table(table: Table) -> None:
    """Print a table; in a pipe without colour, and wide enough to cut nothing."""
    from rich.console import Console

    console = Console() if sys.stdout.isatty() else Console(width=_PIPE_WIDTH)
    console.print(table)


def simple_table(title: str, columns: dict[str, bool], rows: list[list[str]]) -> Table:
    """A table of text.

    Args:
        columns: heading -> whether the column holds numbers, which are aligned to the right.
    """
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for heading, numeric in columns.items():
        table.add_column(heading, justify="right" if numeric else "left")
    for row in rows:
        table.add_row(*row)
    return table


def quantity(count: int) -> str:
    """A count with four digits and a prefix: `4.456 G`, `28.59 M`, `71.81 k`."""
    for prefix, unit in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= unit:
            return f"{count / unit:.4g} {prefix}"
    return str(count)


def plain(value: Any) -> str:
    """A value of a recipe in a few characters; a dash for None and the empty."""
    if value is None or value == "" or value == []:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else str(value)
