"""The contract between the page and the kinds of sections: a page is a concatenation of sections.

A kind is a folder of this package that offers `sections(records)`. No kind knows another; `page.KINDS` lists them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from modernet.records import Record


class Kind(Protocol):
    """A kind of section, such as roads or benchmarks."""

    def sections(self, records: Sequence[Record]) -> list[Section]:
        """Return the sections for the records of this kind, in the order of the page.

        Args:
            records: those that no earlier kind put into a section. Records of other kinds are ignored.

        Raises:
            InputError: a record of this kind lacks a setting that says where it belongs.
        """
        ...


@dataclass(frozen=True)
class Image:
    """A chart as a PNG file.

    Attributes:
        name: of the file, without suffix; numbered if a folder gets several of one name.
        write: writes the PNG to a path, atomically.
    """

    name: str
    write: Callable[[Path], None]


@dataclass(frozen=True)
class Section:
    """One section of the page.

    Attributes:
        kind: the folder of its kind in this package; the template is its `section.html.j2`.
        title: heading; text, not HTML.
        link: text of the link to it at the top of the page.
        content: the variables of the template.
        records: the records behind it; later kinds do not see them.
        image: its chart as a file, for `write_report`.
    """

    kind: str
    title: str
    link: str
    content: Mapping[str, Any]
    records: Sequence[Record] = field(repr=False)
    image: Image | None = None


@dataclass(frozen=True)
class Chart:
    """A figure with its caption, which screen readers read instead of the figure."""

    caption: str
    figure: dict[str, Any]


@dataclass(frozen=True)
class Curves:
    """Learning curves of the same runs side by side; buttons above the charts highlight lines in all of them.

    Attributes:
        keys: label and colour of each line.
    """

    keys: Sequence[tuple[str, str]]
    charts: Sequence[Chart]
