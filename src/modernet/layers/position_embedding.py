"""Resampling of learned position embeddings."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def resample_position_embedding(
    embedding: Tensor, grid: tuple[int, int], new_grid: tuple[int, int], num_prefix_tokens: int
) -> Tensor:
    """Resample grid embeddings, bicubic and antialiased as in timm; prefix tokens keep theirs.

    Args:
        embedding: `(1, num_prefix_tokens + h * w, c)`, the grid in row-major order.
        grid: current height and width.
        new_grid: height and width to resample to.
        num_prefix_tokens: embeddings before the grid, such as the class token's.

    Returns:
        `(1, num_prefix_tokens + new_h * new_w, c)` in the same dtype; `embedding` itself if the grids are equal.
    """
    return _resampled(embedding, grid, new_grid, num_prefix_tokens)


@torch.fx.wrap  # the condition depends on the shape, which is not known when torch.fx traces a network
def _resampled(embedding: Tensor, grid: tuple[int, int], new_grid: tuple[int, int], num_prefix_tokens: int) -> Tensor:
    if grid == new_grid:
        return embedding
    prefix, positions = embedding.tensor_split([num_prefix_tokens], dim=1)
    positions = positions.float().reshape(1, *grid, -1).permute(0, 3, 1, 2)  # 1 hw c -> 1 c h w
    positions = F.interpolate(positions, size=new_grid, mode="bicubic", antialias=True)
    positions = positions.flatten(2).transpose(1, 2).to(embedding.dtype)  # 1 c h w -> 1 hw c
    return torch.cat([prefix, positions], dim=1)
