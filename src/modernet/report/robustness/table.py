"""Tables as text, for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modernet.report.notation import MISSING, number
from modernet.report.robustness.summary import Network, Reading


@dataclass(frozen=True)
class Cell:
    """A number, and the lines below it."""

    value: str = MISSING
    below: Sequence[str] = ()


@dataclass(frozen=True)
class Row:
    """A row: its title, what is written below it, and its cells; `failed` if that is an error."""

    title: str
    below: str
    cells: Sequence[Cell]
    failed: bool = False


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        label: for screen readers.
        caption: what its numbers are.
        headings: of the columns, that of the titles first.
    """

    label: str
    caption: str
    headings: Sequence[str]
    rows: Sequence[Row]


def cell_of(name: str, digits: int | None = None, clean: str | None = None) -> Callable[[Network], Cell]:
    """Return the cell of a metric for any network.

    Args:
        digits: decimals; None derives them from the number of images.
        clean: the metric to write below it.
    """

    def of(network: Network) -> Cell:
        decimals = network.digits if digits is None else digits
        shown = cell(network.reading(name), decimals)
        beside = None if clean is None else network.reading(clean)
        if beside is None:
            return shown
        return Cell(shown.value, lines(*shown.below, f"clean {number(beside.value, decimals)}"))

    return of


def cell(reading: Reading | None, digits: int) -> Cell:
    """Return a number with its interval below it; a dash for None."""
    if reading is None:
        return Cell()
    interval = ""
    if reading.low is not None and reading.high is not None:
        interval = f"[{number(reading.low, digits)}, {number(reading.high, digits)}]"
    return Cell(number(reading.value, digits), lines(interval))


def lines(*texts: str) -> tuple[str, ...]:
    """Return the texts that are not empty."""
    return tuple(filter(None, texts))
