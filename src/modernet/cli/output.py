"""What verbs print: tables for people, JSON for programs. Results go to stdout, everything else to stderr."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_PIPE_WIDTH = 200


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


def in_millions(count: float) -> str:
    """A count in millions with three significant digits or more: `28.6 M`, `0.137 M`."""
    millions = count / 1e6
    return f"{millions:.3f} M" if millions < 1 else f"{millions:.1f} M"


def in_billions(count: float) -> str:
    """A count in units of 10^9: `4.456 G`."""
    return f"{count / 1e9:.3f} G" if count < 1e11 else f"{count / 1e9:.1f} G"
