"""Where downloads and converted files are kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder() -> Path:
    """`$MODERNET_CACHE`, or `~/.cache/modernet`; it may not exist yet."""
    return Path(os.environ.get("MODERNET_CACHE") or "~/.cache/modernet").expanduser()
