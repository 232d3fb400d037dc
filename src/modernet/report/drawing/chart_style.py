"""What the PNG charts share: colours, size, and how long a text may be."""

from __future__ import annotations

# Blue against orange stays apart under every common colour blindness; grey carries what was not measured here.
INK, FAINT, RULE = "#1b1f24", "#7b838d", "#d9dde2"
BAR, SIDE, EDGE, CLEAR = "#8fb8de", "#dbe8f4", "#5b8fc2", "#b3500b"
DOT, MACS = "#0b3c6b", "#3c7d5a"

WIDTH = 9.0  # inches, which are shown as about 900 pixels
DPI = 200


def short(text: str, length: int) -> str:
    """A text cut to at most `length` letters, with an ellipsis where something is missing."""
    return text if len(text) <= length else f"{text[: length - 1]}…"
