"""Pictures of what a masked autoencoder predicts."""

from __future__ import annotations

from pathlib import Path

import torch
from PIL import Image
from torch import Tensor

from modernet.files.atomic import whole_file
from modernet.preparation import Preparation
from modernet.pretraining.masked import cell_scales, patchify, unpatchify

_GAP = 4  # pixels between images that are side by side
_GREY = 128  # of hidden cells


def drawn_reconstructions(
    predictions: Tensor, images: Tensor, hidden: Tensor, cell: int, preparation: Preparation, *, norm_pixels: bool
) -> Tensor:
    """Draw images, their visible cells on grey, the prediction of all cells, and hidden cells predicted among visible
    ones.

    Predictions of normalised pixels are drawn with mean and standard deviation of each cell of the image itself, which
    the network does not predict.

    Args:
        predictions: as of `MaskedAutoencoder`.
        images, hidden: as given to it.
        cell: side in pixels of a cell.
        preparation: of the images.
        norm_pixels: as of `cell_targets`.

    Returns:
        uint8 (b, 3, h, 4 w + 12), on the CPU.
    """
    cells = patchify(images, cell)
    if norm_pixels:
        mean, scale = cell_scales(cells)
        predictions = predictions * scale + mean
    hide = hidden[..., None]
    scales = zip(preparation.mean, preparation.std, strict=True)
    grey = images.new_tensor([(_GREY / 255 - mean) / std for mean, std in scales]).repeat(cell**2)
    grid = images.shape[2] // cell, images.shape[3] // cell
    panels = (cells, cells.where(~hide, grey), predictions, predictions.where(hide, cells))
    drawn = [_pixels(unpatchify(panel, grid), preparation) for panel in panels]
    gap = torch.full((*drawn[0].shape[:3], _GAP), 255, dtype=torch.uint8)
    return torch.cat([drawn[0], *(part for panel in drawn[1:] for part in (gap, panel))], 3)


def save_picture(path: Path, drawing_u8: Tensor) -> None:
    """Write a drawing, uint8 (3, h, w), as a PNG."""
    with whole_file(path) as unfinished:
        Image.fromarray(drawing_u8.permute(1, 2, 0).contiguous().numpy()).save(unfinished, "PNG")  # c h w -> h w c


def _pixels(images: Tensor, preparation: Preparation) -> Tensor:
    """Return normalised images as uint8, on the CPU."""
    mean, std = (images.new_tensor(values)[:, None, None] for values in (preparation.mean, preparation.std))
    return (255 * (images * std + mean)).round().clamp(0, 255).to(torch.uint8).cpu()
