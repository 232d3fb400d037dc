"""Tables as text, for the page."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from modernet.report.notation import MISSING, number
from modernet.report.robustness.summary import Network, Reading, digits_of


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


def cell_of(name: str, digits: int | None = None, suite: str | None = None) -> Callable[[Network], Cell]:
    """Return the cell of a metric for any network.

    Args:
        digits: decimals; None derives them from the number of images.
        suite: the corruptions that it is a mean over; how many of them is written below it, if it is not all.
    """

    def of(network: Network) -> Cell:
        reading = network.reading(name)
        shown = cell(reading, network.digits if digits is None else digits)
        part = "" if suite is None or reading is None else network.part_of(suite)
        return Cell(shown.value, lines(*shown.below, part))

    return of


def shifted_cell(name: str) -> Callable[[Network], Cell]:
    """Return the cell of the accuracy on other images of the same classes, for any network: that on clean images of
    these classes is below it, and the number of images.
    """

    def of(network: Network) -> Cell:
        reading, clean = network.reading(f"{name}_top1"), network.reading(f"{name}_clean_top1")
        if reading is None:
            return Cell()
        n = network.record.metrics.get(f"{name}_n")
        shown = cell(reading, digits_of(n))
        beside = ""
        if clean is not None:
            beside = f"clean {number(clean.value, digits_of(network.record.metrics.get(f'{name}_clean_n')))}"
        return Cell(shown.value, lines(*shown.below, beside, "" if n is None else f"n = {number(n, 0)}"))

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
