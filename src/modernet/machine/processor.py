"""The instructions of this machine's processor, which decide where a compiled program runs and how fast."""

from __future__ import annotations

import platform
import re
import sys
from pathlib import Path

_INFO = Path("/proc/cpuinfo")
_OF_PROGRAMS = re.compile(
    r"(sse|ssse|avx|amx|fma|f16c|bmi|abm|popcnt|movbe|adx|aes|sha|gfni|vaes|vpclmul|xop|tbm"  # x86
    r"|asimd|fp$|fphp|sve|sme|bf16|i8mm|dot|crc32|atomics)"  # ARM
)
"""How the names of instructions that a compiler emits begin; the others are of the kernel and of virtual machines."""


def processor_features() -> tuple[str, ...]:
    """Return the architecture, and the names of the instructions that programs compiled for this processor may use.

    The instructions are Linux's names of them, in order. On other systems they are torch's names, and none before torch
    is imported, which this does not do.

    >>> processor_features()  # doctest: +SKIP
    ('x86_64', 'abm', 'aes', 'avx', 'avx2', 'bmi1', ...)
    """
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", _INFO.read_text(), re.MULTILINE)
        names = [] if found is None else [name for name in found[1].split() if _OF_PROGRAMS.match(name)]
    except OSError:
        names = _torch_names()
    return (platform.machine(), *sorted(set(names)))


def _torch_names() -> list[str]:
    """Return the instructions that torch finds; none if it is not imported, or too old to list them."""
    torch = sys.modules.get("torch")
    if torch is None or not hasattr(torch.cpu, "get_capabilities"):
        return []
    return [name for name, has in torch.cpu.get_capabilities().items() if has is True]
