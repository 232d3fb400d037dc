"""How large a generated task is."""

from __future__ import annotations

from typing import Literal

SequenceSize = Literal["published", "nano"]
"""As published, or a short version that is learned in minutes on a CPU."""
