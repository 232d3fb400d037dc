"""The cache folder, for downloads and converted files."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


def cache_folder() -> Path:
    """Return `$MODERNET_CACHE`, or `~/.cache/modernet`; it may not exist."""
    return Path(os.environ.get("MODERNET_CACHE") or "~/.cache/modernet").expanduser()


@contextmanager
def only_one(file: Path) -> Iterator[None]:
    """Let one process or thread at a time write `file`; others wait. The lock of a process that dies is released."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        yield
