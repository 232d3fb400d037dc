"""Digests of files and of values."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any


def file_sha256(path: Path) -> str:
    """Return the sha256 of a file's content in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def json_sha256(value: Any) -> str:
    """Return the sha256 of a JSON-able value in hex: equal for equal values, in every process and version.

    >>> json_sha256({"a": 1, "b": [2]}) == json_sha256({"b": (2,), "a": 1})
    True
    """
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
