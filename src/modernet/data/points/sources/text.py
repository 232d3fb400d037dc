"""Points as lines of numbers: .xyz, .txt, .pts."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modernet.data.points.sources.clouds import Cloud, UnreadableCloud, checked
from modernet.errors import one_line

TEXT_SUFFIXES = frozenset({".xyz", ".txt", ".pts"})
_MOST_SHOWN = 40


def read_text(path: Path, first: int | None = None) -> Cloud:
    """Read a line for each point: x, y, z and what else it has, with blanks or commas between the numbers.

    The first line may be a count of the points, or names of the columns; the column `label` is then that of the classes
    of points. What follows # is a comment.

    Args:
        first: points that are read; None reads all.

    Raises:
        UnreadableCloud: it is missing, or has other lines.
    """
    try:
        start, header, comma = _beginning(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of files and lines without data
            numbers: NDArray[np.float64] = np.loadtxt(
                path, delimiter="," if comma else None, skiprows=start, max_rows=first, ndmin=2, encoding="utf-8-sig"
            )
    except OSError as error:
        raise UnreadableCloud(f"cannot be read ({error.strerror})") from error
    except ValueError as error:  # UnicodeDecodeError too
        raise UnreadableCloud(f"has something else than lines of numbers ({one_line(error)})") from error
    if not numbers.size:
        raise UnreadableCloud("has no points")
    if "label" not in header:
        return checked(numbers)
    column = header.index("label")
    return checked(np.delete(numbers, column, 1), numbers[:, column])


def _beginning(path: Path) -> tuple[int, list[str], bool]:
    """Return how many lines come before the numbers, the names of the columns, and whether commas are between them."""
    header: list[str] = []
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines):
            content = line.partition("#")[0].strip()
            words = content.replace(",", " ").split()
            if len(words) > 1 and all(map(_is_number, words)):
                return number, header, "," in content
            if words and not _is_number(words[0]):
                if header:
                    raise ValueError(f"line {number + 1} is {content[:_MOST_SHOWN]!r}")
                header = [word.lower() for word in words]
    return 0, header, False


def _is_number(word: str) -> bool:
    try:
        float(word)
    except ValueError:
        return False
    return True
