"""MobileNetV2 under timm's names; the zoo uses torchvision's."""

from __future__ import annotations

import re

from modernet.weights.schemes.scheme import ORIGINAL, Scheme

_REPEATS = (1, 2, 3, 4, 3, 3, 1)
_PLACES = [(stage, index) for stage, repeats in enumerate(_REPEATS) for index in range(repeats)]
"""Stage and index within it of each inverted residual block."""
_PLAIN = {"0.0": "conv_dw", "0.1": "bn1", "1": "conv_pw", "2": "bn2"}
_EXPANDED = {"0.0": "conv_pw", "0.1": "bn1", "1.0": "conv_dw", "1.1": "bn2", "2": "conv_pwl", "3": "bn3"}


def _block(match: re.Match[str]) -> str:
    stage, index = _PLACES[int(match[1]) - 1]
    layers = _PLAIN if stage == 0 else _EXPANDED
    return f"blocks.{stage}.{index}.{layers[match[2]]}."


_TIMM = Scheme(
    "timm",
    names=[
        (r"^features\.0\.0\.", "conv_stem."),
        (r"^features\.0\.1\.", "bn1."),
        (r"^features\.18\.0\.", "conv_head."),
        (r"^features\.18\.1\.", "bn2."),
        (r"^features\.(\d+)\.conv\.([\d.]+)\.(?=[a-z])", _block),
        (r"^classifier\.1\.", "classifier."),
    ],
)

MOBILENETV2 = (ORIGINAL, Scheme("torchvision"), _TIMM)
