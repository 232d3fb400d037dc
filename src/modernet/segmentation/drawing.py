"""Label maps as images: indices for other tools, colours for the eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from modernet.files.atomic import whole_file
from modernet.palette import palette

_BLEND = 0.55
"""Share of the class's colour where it is drawn over the image."""

_GAP = 4  # pixels between images that are side by side


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
    """Write what `overlay` draws as a PNG."""
    pixels = overlay(image_u8, classes, num_classes).permute(1, 2, 0).numpy()  # c h w -> h w c
    with whole_file(path) as unfinished:
        Image.fromarray(pixels).save(unfinished, "PNG")


def overlay(image_u8: Tensor, classes: Tensor, num_classes: int) -> Tensor:
    """Draw the colours of classes over an image.

    Args:
        image_u8: uint8 (3, h, w).
        classes: integers (h, w). Where one is not below `num_classes`, the image stays as it is.

    Returns:
        uint8 (3, h, w)
    """
    indices = classes.cpu().numpy().astype(np.uint8)
    pixels = Image.fromarray(image_u8.permute(1, 2, 0).contiguous().numpy())  # c h w -> h w c
    colours = Image.fromarray(palette(256)[indices])
    drawn = Image.composite(Image.blend(pixels, colours, _BLEND), pixels, Image.fromarray(indices < num_classes))
    return torch.from_numpy(np.asarray(drawn).copy()).permute(2, 0, 1)


def side_by_side(image_u8: Tensor, truth: Tensor, predicted: Tensor, num_classes: int) -> Tensor:
    """Draw an image, its true and its predicted classes side by side.

    Args:
        image_u8: uint8 (3, h, w).
        truth, predicted: integers (h, w).

    Returns:
        uint8 (3, h, 3 w + 8)
    """
    gap = torch.full((3, image_u8.shape[1], _GAP), 255, dtype=torch.uint8)
    maps = (overlay(image_u8, classes, num_classes) for classes in (truth, predicted))
    return torch.cat([image_u8, *(part for drawn in maps for part in (gap, drawn))], 2)
