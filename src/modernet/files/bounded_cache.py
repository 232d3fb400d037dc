"""Cache folders of limited size: files are made at their first use, the least recently used are removed."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.files.cache import cache_folder, only_one

_DEFAULT_GB = 200.0
_FRESH_S = 60.0  # interval at which the time of use is updated


def cached(name: str, make: Callable[[Path], None], *, folder: str = "shards") -> Path:
    """Return the file `name` of a folder of the cache, made first if it is missing.

    Of several processes one makes it, the others wait. Then the least recently used files of the folder, but never this
    one, are removed until all take at most `$MODERNET_CACHE_GB` (by default 200). So another process may remove a file
    before it is opened; `open_cached` handles that.

    Args:
        make: writes the file to the given path.
        folder: one for each kind of file, each of the same limit.

    Raises:
        InputError: it cannot be written; and the errors of `make`.
    """
    file = cache_folder() / folder / name
    if _touch(file):
        return file
    limit = _limit_bytes()
    try:
        with only_one(file):
            if not file.exists():
                with whole_file(file) as unfinished:
                    make(unfinished)
                _remove_oldest(file, limit)
    except OSError as error:
        raise InputError(
            f"cannot write {name} to {file.parent}: {error.strerror or error}; set MODERNET_CACHE_GB below "
            "the free space, or MODERNET_CACHE to another folder"
        ) from error
    return file


def open_cached(name: str, make: Callable[[Path], None], *, folder: str = "shards") -> BinaryIO:
    """Open a file of the cache, as `cached`; an open file stays readable when another process removes it."""
    while True:
        with contextlib.suppress(FileNotFoundError):  # removed in between
            return cached(name, make, folder=folder).open("rb")


def _touch(file: Path) -> bool:
    """Return whether a file exists; if so, it counts as used now."""
    try:
        if time.time() - file.stat().st_mtime > _FRESH_S:
            os.utime(file)
    except FileNotFoundError:
        return False
    return True


def _limit_bytes() -> float:
    given = os.environ.get("MODERNET_CACHE_GB", str(_DEFAULT_GB))
    try:
        gigabytes = float(given)
    except ValueError:
        gigabytes = 0.0
    if not gigabytes > 0:
        raise InputError(f"MODERNET_CACHE_GB is {given!r}; give the size of the cache in GB, such as 200")
    return gigabytes * 1e9


def _remove_oldest(newest: Path, limit: float) -> None:
    others: list[tuple[float, int, Path]] = []
    for path in newest.parent.iterdir():
        if path == newest or path.name.startswith("."):  # locks and unfinished files
            continue
        with contextlib.suppress(FileNotFoundError):
            state = path.stat()
            others.append((state.st_mtime, state.st_size, path))
    room = limit - newest.stat().st_size - sum(size for _, size, _ in others)
    for _, size, path in sorted(others):
        if room >= 0:
            return
        path.unlink(missing_ok=True)
        room += size
