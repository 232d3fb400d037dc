"""Colours and fonts of the charts, for light and dark pages.

A colour is written `light-dark(LIGHT, DARK)`, as in CSS. Vega does not read that, so `themed` (for PNG files) or the
script of the page picks one of the two before a chart is drawn. Blue and orange are distinguishable under all common
forms of colour blindness; grey marks what was not measured here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

INK = "light-dark(#1b1f24, #e8eaed)"
FAINT = "light-dark(#646c76, #9aa3ad)"
RULE = "light-dark(#e1e4e8, #333a43)"
PAPER = "light-dark(#ffffff, #161a20)"
BAR = "light-dark(#8fb8de, #35608c)"
SIDE = "light-dark(#e3edf6, #1f3043)"
EDGE = "light-dark(#5b8fc2, #6fa3d4)"
DOT = "light-dark(#0b3c6b, #cfe4f8)"
CLEAR = "light-dark(#b3500b, #f0a35e)"
MACS = "light-dark(#3c7d5a, #7cc79d)"

# Lightness changes evenly along the ramp, so that the order of lines is visible without distinguishing hues.
_RAMP_LIGHT = ("#33105e", "#2f5d9e", "#1f8f8a", "#5aa83a", "#d49a00")
_RAMP_DARK = ("#8d7be0", "#5b9be0", "#35b5ac", "#9ccf5c", "#ffd75e")

_PAIR = re.compile(r"light-dark\((\S+), (\S+)\)")


def themed(value: Any, *, dark: bool = False) -> Any:
    """Return a copy of a specification with each `light-dark(a, b)` replaced by `a`, or by `b` if `dark`."""
    if isinstance(value, str):
        pair = _PAIR.fullmatch(value)
        return pair[2 if dark else 1] if pair else value
    if isinstance(value, dict):
        return {name: themed(inner, dark=dark) for name, inner in value.items()}
    if isinstance(value, list):
        return [themed(inner, dark=dark) for inner in value]
    return value


def ramp(count: int) -> list[str]:
    """Return `count` colours, ordered from dark to light."""
    shares = [0.0 if count == 1 else index / (count - 1) for index in range(count)]
    return [f"light-dark({_between(_RAMP_LIGHT, share)}, {_between(_RAMP_DARK, share)})" for share in shares]


def _between(stops: Sequence[str], share: float) -> str:
    left = min(int(share * (len(stops) - 1)), len(stops) - 2)
    weight = share * (len(stops) - 1) - left
    channels = []
    for offset in (1, 3, 5):
        low, high = (int(stops[index][offset : offset + 2], 16) for index in (left, left + 1))
        channels.append(round(low + (high - low) * weight))
    return "#{:02x}{:02x}{:02x}".format(*channels)
