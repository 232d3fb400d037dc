"""The address space that drawing takes: vl-convert runs V8, which ends the process where it cannot reserve enough."""

from __future__ import annotations

from modernet.machine.linux_memory import address_space_left

_NEEDED = 65 * 2**30
"""Bytes that vl-convert 1.9 reserves; it uses few of them."""


def missing_room() -> str | None:
    """Return why nothing can be drawn in this process, and what to do; None where it can."""
    left = address_space_left()
    if left is None or left >= _NEEDED:
        return None
    return (
        f"charts need {_NEEDED / 2**30:.0f} GiB of address space, and a limit of this shell leaves {left / 2**30:.0f}; "
        "lift it with ulimit -v unlimited, then run modernet report FOLDER"
    )
