"""Colours of classes, the same wherever one is drawn."""

from __future__ import annotations

import colorsys

import numpy as np
from numpy.typing import NDArray

# Okabe and Ito, "Color Universal Design", 2008: distinguishable under all common forms of colour blindness
_FIRST = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00", "#f0e442")
_GOLDEN = 0.618034  # of the colour circle: neighbouring classes get distant hues, however many there are


def palette(num_classes: int) -> NDArray[np.uint8]:
    """Return a colour for each class, uint8 (k, 3); the same ones for any k.

    From the eighth on, lightness differs between neighbours, since no more hues are distinguishable for everyone.
    """
    colours = [bytes.fromhex(colour[1:]) for colour in _FIRST[:num_classes]]
    for index in range(len(colours), num_classes):
        shares = colorsys.hsv_to_rgb(index * _GOLDEN % 1, (0.85, 0.55)[index % 2], (0.95, 0.7, 0.5)[index % 3])
        colours.append(bytes(round(255 * share) for share in shares))
    return np.frombuffer(b"".join(colours), np.uint8).reshape(-1, 3)
