"""Computing on the visible cells of images only."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.pretraining.masked import count_visible, order_of


class VisibleCells:
    """The visible cells of a batch of images, which a *strip* holds one below the other.

    Strips of v cells of s x s positions are (b, c, v * s, s), in the order of the image. Layers that treat positions
    alone, or patches that are inside a cell, compute the same on strips as on whole maps, and nothing for hidden cells;
    sums over positions, such as those of `GRN`, run over the visible ones of each image. Only layers that mix cells
    need the cells in their places (`run`).

    Args:
        hidden: bool (b, cells), row by row: which cells are hidden; as many in every image.
        grid: height and width of the images in cells.

    Raises:
        InputError: nothing is visible, or more in one image than in another.
    """

    def __init__(self, hidden: Tensor, grid: tuple[int, int]) -> None:
        visible = count_visible(hidden)
        if visible == 0:
            height, width = grid
            raise InputError(f"all {height}x{width} cells of an image are hidden; hide fewer, or give larger images")
        self.grid = grid
        self._cells = order_of(hidden)[:, :visible]  # b v
        self._rows: dict[int, Tensor] = {}

    def strip(self, maps: Tensor) -> Tensor:
        """Return the visible cells of maps (b, c, h, w), (b, c, v * s, s)."""
        b, c, h, w = maps.shape
        side = w // self.grid[1]
        rows = maps.permute(0, 2, 3, 1).reshape(b * h * self.grid[1], side * c)
        return rows.index_select(0, self._rows_of(side)).view(b, -1, side, c).permute(0, 3, 1, 2)

    def spread(self, strips: Tensor) -> Tensor:
        """Return maps (b, c, h, w) with the cells of strips (b, c, v * s, s) in their places, and zeros elsewhere."""
        b, c, _, side = strips.shape
        h, w = self.grid[0] * side, self.grid[1] * side
        rows = strips.permute(0, 2, 3, 1).reshape(-1, side * c)
        maps = rows.new_zeros(b * h * self.grid[1], side * c).index_copy(0, self._rows_of(side), rows)
        return maps.view(b, h, w, c).permute(0, 3, 1, 2)

    def run(self, layer: Callable[[Tensor], Tensor], strips: Tensor) -> Tensor:
        """Run a layer from maps to maps of the same size on strips, with zeros in hidden cells."""
        return self.strip(layer(self.spread(strips)))

    def _rows_of(self, side: int) -> Tensor:
        """Return which of the rows of all cells, of `side` positions each, are those of the visible ones; int64."""
        if side not in self._rows:
            height, width = self.grid
            cells = self._cells[..., None]  # b v -> b v 1
            images = torch.arange(len(cells), device=cells.device)[:, None, None]
            rows = torch.arange(side, device=cells.device)
            in_image = (cells // width * side + rows) * width + cells % width  # b v s
            self._rows[side] = (images * height * side * width + in_image).flatten()
        return self._rows[side]
