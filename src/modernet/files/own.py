"""What this user has written, by its digest, so that code in it may run: a file of a stranger is not among it."""

from __future__ import annotations

import os
from pathlib import Path

from modernet.files.cache import cache_folder


def remember_own(sha256: str) -> None:
    """Note that this user has written a file with this content.

    Raises:
        OSError: the cache folder cannot be written to.
    """
    folder = _folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = folder / sha256
    note.touch(mode=0o600)
    note.write_text(sha256, encoding="utf-8")


def is_own(sha256: str) -> bool:
    """Return whether this user has written a file with this content, on this machine or with its cache folder.

    Notes of other users in a shared cache folder do not count, nor does a note that has another name than it was
    written with.
    """
    note = _folder() / sha256
    try:
        owner, content = note.stat().st_uid, note.read_bytes()
    except OSError:
        return False
    return content == sha256.encode() and (not hasattr(os, "getuid") or owner == os.getuid())


def _folder() -> Path:
    """Return the folder of this user's notes; a cache folder may be shared."""
    return cache_folder() / (f"own-{os.getuid()}" if hasattr(os, "getuid") else "own")
