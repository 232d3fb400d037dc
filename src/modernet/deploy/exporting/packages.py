"""Packages that only some formats and runtimes need."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec


def not_installed(packages: Sequence[str], extra: str) -> str:
    """Return one line on which packages are missing, and how to install them; empty if all are there.

    Args:
        extra: the extra of modernet that has them.
    """
    missing = [name for name in packages if find_spec(name) is None]
    return f"{', '.join(missing)} not installed: pip install 'modernet[{extra}]'" if missing else ""
