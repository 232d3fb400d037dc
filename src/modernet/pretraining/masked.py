"""What a masked autoencoder is: an image is divided into square cells, some are hidden, and a network predicts them.

He et al. 2021 (arXiv 2111.06377), Woo et al. 2023 (arXiv 2301.00808).
"""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from modernet.errors import InputError
from modernet.models.backbone import Backbone


class MaskedAutoencoder(nn.Module, ABC):
    """A backbone that sees the visible cells of images, and a decoder that predicts the hidden ones.

    Attributes:
        encoder: the backbone, without classifier; its parameters are what pre-training leaves.
        cell: side in pixels of a cell.
    """

    encoder: Backbone
    cell: int

    @abstractmethod
    def forward(self, images: Tensor, hidden: Tensor) -> Tensor:
        """Predict the pixels of every cell.

        Args:
            images: float32 (b, 3, h, w), normalised; h and w are multiples of `cell`.
            hidden: bool (b, cells), row by row: which cells are hidden; as many in every image.

        Returns:
            (b, cells, cell * cell * 3), pixel by pixel, the colours of a pixel together (`patchify`).
        """

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """As `Backbone.set_grad_checkpointing`, of the blocks of encoder and decoder."""
        self.encoder.set_grad_checkpointing(enable)

    def layer_groups(self, groups: str = "block") -> list[list[str]]:
        """Return the names of parameters by layer: as `Backbone.layer_groups` of the encoder, then the decoder."""
        encoder = [[f"encoder.{name}" for name in layer] for layer in self.encoder.layer_groups(groups)]
        return [*encoder, [name for name, _ in self.named_parameters() if not name.startswith("encoder.")]]

    def no_weight_decay(self) -> set[str]:
        """Return the empty set: as in the releases, class tokens, mask tokens and GRN decay in pre-training.

        In fine-tuning class tokens and GRN do not, there either. Positions of a ViT are not trained.
        """
        return set()


def grid_of(images: Tensor, hidden: Tensor, cell: int) -> tuple[int, int]:
    """Return the height and width of images (b, c, h, w) in cells.

    Raises:
        InputError: cells do not fill the images, or `hidden` is not of all cells of every image.
    """
    b, _, h, w = images.shape
    if h % cell or w % cell:
        raise InputError(f"images are {h}x{w}; give height and width as multiples of {cell}")
    grid = h // cell, w // cell
    if hidden.shape != (b, grid[0] * grid[1]):
        raise InputError(
            f"hidden is {tuple(hidden.shape)}; give a row of {grid[0] * grid[1]} cells for each of {b} images"
        )
    return grid


def count_visible(hidden: Tensor) -> int:
    """Return how many cells of each image are visible.

    Raises:
        InputError: more in one image than in another.
    """
    fewest, most = torch.stack(hidden.sum(1).aminmax()).tolist()
    if fewest != most:
        raise InputError(f"{fewest} to {most} cells of an image are hidden; hide as many of every image")
    return hidden.shape[1] - int(most)


def patchify(images: Tensor, cell: int) -> Tensor:
    """Divide images (b, c, h, w) into cells (b, cells, cell * cell * c), row by row, a pixel's colours together."""
    b, c, h, w = images.shape
    x = images.reshape(b, c, h // cell, cell, w // cell, cell)
    return x.permute(0, 2, 4, 3, 5, 1).reshape(b, (h // cell) * (w // cell), cell * cell * c)


def unpatchify(cells: Tensor, grid: tuple[int, int]) -> Tensor:
    """Put the cells (b, h * w, cell * cell * 3) of a grid (h, w) together: images (b, 3, h * cell, w * cell)."""
    (b, _, numbers), (h, w) = cells.shape, grid
    cell = round((numbers / 3) ** 0.5)
    x = cells.reshape(b, h, w, cell, cell, 3)
    return x.permute(0, 5, 1, 3, 2, 4).reshape(b, 3, h * cell, w * cell)


def cell_scales(cells: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and standard deviation of each of the cells (b, n, numbers), each (b, n, 1), as the release has them:
    of an unbiased variance, plus 1e-6.
    """
    return cells.mean(-1, keepdim=True), (cells.var(-1, keepdim=True) + 1e-6).sqrt()


def cell_targets(images: Tensor, cell: int, *, norm_pixels: bool) -> Tensor:
    """Return what is to be predicted of images (b, 3, h, w): (b, cells, cell * cell * 3).

    Args:
        norm_pixels: each cell less its mean and divided by its standard deviation, instead of its pixels.
    """
    cells = patchify(images, cell)
    if not norm_pixels:
        return cells
    mean, scale = cell_scales(cells)
    return (cells - mean) / scale


def masked_loss(predictions: Tensor, images: Tensor, hidden: Tensor, cell: int, *, norm_pixels: bool) -> Tensor:
    """Return the mean squared error over the pixels of hidden cells: a scalar, float32 also of narrower predictions.

    Args:
        predictions: as of `MaskedAutoencoder`.
        images, hidden: as given to it.
        norm_pixels: as of `cell_targets`.
    """
    dtype = torch.promote_types(predictions.dtype, torch.float32)
    target = cell_targets(images.to(dtype), cell, norm_pixels=norm_pixels)
    of_cells = (predictions.to(dtype) - target).square().mean(-1)
    return (of_cells * hidden).sum() / hidden.sum().clamp(min=1)


def random_cells(noise: Tensor, share: float) -> Tensor:
    """Return which cells are hidden, bool (b, cells): those with the highest noise (b, cells).

    `int(cells * (1 - share))` cells of each image stay visible, as in the releases: 49 of 196 at 0.75, 19 of 49 at
    0.6.
    """
    visible = int(noise.shape[1] * (1 - share) + 1e-6)
    ranks = noise.argsort(dim=1).argsort(dim=1)
    hidden: Tensor = ranks >= visible
    return hidden


def order_of(hidden: Tensor) -> Tensor:
    """Return the indices of all cells, int64 (b, cells): the visible ones in their order, then the hidden ones."""
    return torch.argsort(hidden.to(torch.uint8), dim=1, stable=True)
