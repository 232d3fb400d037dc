"""Work that ends its process, such as for lack of memory, and would do so whenever it is resumed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modernet.errors import InputError

_MOST = 3
"""Processes that may end in the same work; the first ones may have been killed for another reason."""


@contextmanager
def surviving(marker: Path) -> Iterator[None]:
    """Enclose work that may end its process, and give it up once three processes in a row have ended in it.

    Args:
        marker: a file that counts them; it exists only while the work is done, and after a process has ended in it.

    Raises:
        InputError: it is given up.
    """
    try:
        ended = int(marker.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or the process ended while it was written
        ended = 0
    if ended >= _MOST:
        raise InputError(
            f"{ended} processes have ended in it, perhaps for lack of memory; remove {marker} to try it again"
        )
    marker.parent.mkdir(parents=True, exist_ok=True)
    marker.write_text(str(ended + 1), encoding="utf-8")
    try:
        yield
    finally:
        marker.unlink(missing_ok=True)
