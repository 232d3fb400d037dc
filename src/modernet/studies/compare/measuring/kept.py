"""Measurements in a file, with what they depend on: where that is as it was, they need not be repeated."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from modernet.files.atomic import whole_file


def read_kept(file: Path, identity: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what `keep` wrote with an equal identity; None for another one, for no file, and for a damaged one."""
    try:
        stored = json.loads(file.read_text(encoding="utf-8"))
        content: dict[str, Any] | None = (
            stored["measured"] if stored["identity"] == json.loads(json.dumps(identity)) else None
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return content


def keep(file: Path, identity: Mapping[str, Any], measured: Mapping[str, Any]) -> None:
    """Write measurements, atomically.

    Args:
        identity: what they depend on; JSON-able.
        measured: JSON-able, with finite numbers.
    """
    text = json.dumps({"identity": identity, "measured": measured}, allow_nan=False)
    with whole_file(file) as unfinished:
        unfinished.write_text(text + "\n", encoding="utf-8")
