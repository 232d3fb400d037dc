"""The instructions of this machine's processor, which decide where a compiled program runs and how fast."""

from __future__ import annotations

import platform
import re
from pathlib import Path

_INFO = Path("/proc/cpuinfo")
_OF_PROGRAMS = re.compile(
    r"(sse|ssse|avx|amx|fma|f16c|bmi|abm|popcnt|movbe|adx|aes|sha|gfni|vaes|vpclmul|xop|tbm"  # x86
    r"|asimd|fp$|fphp|sve|sme|bf16|i8mm|dot|crc32|atomics)"  # ARM
)
"""How the names of instructions that a compiler emits begin; the others are of the kernel and of virtual machines."""


def processor_features() -> tuple[str, ...]:
    """Return the architecture, and the names of the instructions that programs compiled for this processor may use.

    The instructions are Linux's names of them, in order; other systems do not list any.

    >>> processor_features()  # doctest: +SKIP
    ('x86_64', 'abm', 'aes', 'avx', 'avx2', 'bmi1', ...)
    """
    try:
        found = re.search(r"^(?:flags|Features)\s*:(.*)$", _INFO.read_text(), re.MULTILINE)
    except OSError:
        found = None
    names = [] if found is None else found[1].split()
    return (platform.machine(), *sorted({name for name in names if _OF_PROGRAMS.match(name)}))
