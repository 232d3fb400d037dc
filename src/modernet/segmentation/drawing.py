"""Label maps as images: indices for other tools, colours for the eye."""

from __future__ import annotations

import colorsys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from modernet.files.atomic import whole_file

_GOLDEN = 0.618034  # of the colour circle: neighbouring classes get distant hues, however many there are
_BLEND = 0.55
"""Share of the class's colour where it is drawn over the image."""


def palette(num_classes: int) -> NDArray[np.uint8]:
    """Return a colour for each class, uint8 (k, 3); the same ones for any k."""
    colours = [
        colorsys.hsv_to_rgb(index * _GOLDEN % 1, (0.85, 0.55)[index % 2], (0.95, 0.7, 0.5)[index % 3])
        for index in range(num_classes)
    ]
    return (255 * np.array(colours)).round().astype(np.uint8)


def save_label_map(path: Path, classes: Tensor, num_classes: int) -> None:
    """Write a label map as a PNG of indices with a palette, which other tools read as indices and viewers as colours.

    Args:
        classes: integers (h, w), below 256.
    """
    image = Image.fromarray(classes.cpu().numpy().astype(np.uint8), "P")
    image.putpalette(palette(num_classes).ravel().tolist())
    with whole_file(path) as unfinished:
        image.save(unfinished, "PNG")


def save_overlay(path: Path, image_u8: Tensor, classes: Tensor, num_classes: int) -> None:
    """Write an image, uint8 (3, h, w), with the colours of its classes, integers (h, w), over it, as a PNG."""
    pixels = image_u8.permute(1, 2, 0).numpy()  # c h w -> h w c
    colours = palette(num_classes)[classes.cpu().numpy()]
    drawn = (pixels * (1 - _BLEND) + colours * _BLEND).round().astype(np.uint8)
    with whole_file(path) as unfinished:
        Image.fromarray(drawn).save(unfinished, "PNG")
