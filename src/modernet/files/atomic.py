"""Files that appear whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modernet.errors import InputError


@contextmanager
def whole_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield a path to write to, beside `path`; it takes the name `path` only once it is complete and on the disk.

    If the body raises (a full disk, Ctrl-C), the unfinished file is removed and whatever stood at `path` stays.
    The folder of `path` is made if it is missing.

    >>> with whole_file("runs/record.json") as unfinished:
    ...     _ = unfinished.write_text("{}")
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")  # one name, so that killed processes leave one at most
    try:
        yield unfinished
        with unfinished.open("rb+") as file:
            os.fsync(file.fileno())
        unfinished.replace(target)
        _sync_folder(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def check_writable(folder: Path) -> None:
    """Make a folder and try to write to it, before long work ends with an error instead of a result.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        with whole_file(folder / ".writable") as unfinished:
            unfinished.touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; give another --out") from error


def _sync_folder(folder: Path) -> None:
    """Make the rename itself survive a power cut (POSIX; Windows cannot open folders)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
