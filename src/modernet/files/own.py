"""What this user has written, by its digest, so that code in it may run: a file of a stranger is not among it."""

from __future__ import annotations

import os

from modernet.files.cache import cache_folder

_FOLDER = "own"


def remember_own(sha256: str) -> None:
    """Note that this user has written a file with this content.

    Raises:
        OSError: the cache folder cannot be written to.
    """
    folder = cache_folder() / _FOLDER
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    note = folder / sha256
    note.touch(mode=0o600)
    note.write_text(sha256, encoding="utf-8")


def is_own(sha256: str) -> bool:
    """Return whether this user has written a file with this content, on this machine or with its cache folder.

    Notes of other users in a shared cache folder do not count, nor does a note that has another name than it was
    written with.
    """
    note = cache_folder() / _FOLDER / sha256
    try:
        owner, content = note.stat().st_uid, note.read_bytes()
    except OSError:
        return False
    return content == sha256.encode() and (not hasattr(os, "getuid") or owner == os.getuid())
