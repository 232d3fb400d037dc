"""Files and folders that are written completely or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modernet.errors import InputError


@contextmanager
def whole_file(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Yield a path to write to, in the folder of `path`; it is renamed to `path` once it is complete and on disk.

    If the body raises (a full disk, Ctrl-C), the unfinished file is removed and the file at `path` is unchanged.
    The folder of `path` is created if it is missing. The file has the permissions that new files have for this user.

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
        unfinished.chmod(_permissions(unfinished))  # safetensors makes files that only their owner can read
        if durable:
            with unfinished.open("rb+") as file:
                os.fsync(file.fileno())
        unfinished.replace(target)
        if durable:
            _sync_folder(target.parent)
    finally:
        unfinished.unlink(missing_ok=True)


def _permissions(path: Path) -> int:
    """Return the permissions that a new file beside this one has; the mask of a process cannot be read safely."""
    probe = path.with_name(f"{path.name}.new")
    try:
        probe.touch()
        return probe.stat().st_mode
    finally:
        probe.unlink(missing_ok=True)


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


@contextmanager
def whole_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Yield an empty folder beside `path`; it is renamed to `path` once all its files are complete and on disk.

    If the body raises (a full disk, Ctrl-C), the unfinished folder is removed. `path` must be free, see `check_free`.

    >>> with whole_folder("runs/fast") as unfinished:
    ...     _ = (unfinished / "network.json").write_text("{}")
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    unfinished = target.with_name(f".{target.name}.unfinished")  # one name: killed processes leave at most one
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir()
    try:
        yield unfinished
        for file in unfinished.rglob("*"):
            if file.is_file():
                with file.open("rb+") as opened:
                    os.fsync(opened.fileno())
        if target.is_dir():
            target.rmdir()  # it is empty; Windows renames onto no folder
        unfinished.rename(target)
        _sync_folder(target.parent)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def check_free(path: Path, option: str = "--out") -> None:
    """Check, before long work, that a folder can be written and that nothing is in its place.

    Args:
        option: of the command line that names the folder.

    Raises:
        InputError: there is something, or its parent cannot be created or written to.
    """
    if path.exists() and not (path.is_dir() and not any(path.iterdir())):
        raise InputError(f"{path} exists already; give another {option}, or remove it")
    check_writable(path.parent, option)


def _sync_folder(folder: Path) -> None:
    """Make the rename survive a power failure (POSIX; Windows cannot open folders)."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
