"""Files that are written completely or not at all."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modernet.errors import InputError


@contextmanager
def whole_file(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Yield a path to write to, in the folder of `path`; it is renamed to `path` once it is complete and on disk.

    If the body raises (a full disk, Ctrl-C), the unfinished file is removed and the file at `path` is unchanged.
    The folder of `path` is created if it is missing.

    Args:
        durable: whether it waits for the disk, some milliseconds; without, a power cut may leave an empty file.

    >>> with whole_file("runs/record.json") as unfinished:
    ...     _ = unfinished.write_text("{}")
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")  # one name: killed processes leave at most one
    try:
        yield unfinished
        if durable:
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
        unfinished.replace(target)
        if durable:
            _sync_folder(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def check_writable(folder: Path, option: str = "--out") -> None:
    """Create a folder and check that it can be written to, before long work.

    Args:
        option: of the command line that names the folder.

    Raises:
        InputError: it cannot be created or written to.
    """
    try:
        with whole_file(folder / ".writable") as unfinished:
            unfinished.touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise InputError(f"cannot write to {folder}: {error.strerror}; give another {option}") from error


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power failure (POSIX; Windows cannot open folders)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
