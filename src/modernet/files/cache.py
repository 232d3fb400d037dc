"""Where downloads and converted files are kept."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock


def cache_folder() -> Path:
    """`$MODERNET_CACHE`, or `~/.cache/modernet`; it may not exist yet."""
    return Path(os.environ.get("MODERNET_CACHE") or "~/.cache/modernet").expanduser()


@contextmanager
def only_one(file: Path) -> Iterator[None]:
    """Let one process or thread at a time make `file`; the others wait. The lock of a process that dies is free."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(file.with_name(f".{file.name}.lock")):
        yield
