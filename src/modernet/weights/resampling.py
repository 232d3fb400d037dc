"""Resample weights that belong to positions for another image size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import isqrt

import torch
from torch import Tensor
from torch.nn import functional as F

from modernet.layers import resample_position_embedding
from modernet.models.gfnet import resample_filter


def resampled(name: str, tensor: Tensor, shape: torch.Size) -> Tensor | None:
    """Resample a tensor of positions on a square grid to the shape that another grid needs.

    Args:
        name: name of the parameter in the network, which tells its kind.
        tensor: position embeddings `(1, t, c)`, class tokens first; relative position biases `((2 w - 1)^2, heads)`;
            biases of distances `(heads, side^2)`; a global filter in the frequency domain `(h, w, c, 2)`.
        shape: of the result.

    Returns:
        The resampled tensor; None if it is of another kind, or differs in more than the grid.
    """
    kind = name.rpartition(".")[2]
    if tensor.ndim != len(shape):
        return None
    if kind in ("pos_embed", "decoder_pos_embed") and tensor.ndim == 3 and tensor.shape[2] == shape[2]:
        return _position_embedding(tensor, shape[1])
    if kind == "relative_position_bias_table" and tensor.shape[1] == shape[1]:
        return _square_table(tensor, shape[0], align_corners=False)
    if kind == "attention_biases" and tensor.shape[0] == shape[0]:
        biases = _square_table(tensor.T, shape[1], align_corners=True)
        return None if biases is None else biases.T.contiguous()
    if kind == "complex_weight" and tensor.shape[2:] == shape[2:]:
        return resample_filter(tensor, shape[0], shape[1])
    return None


def _position_embedding(embedding: Tensor, tokens: int) -> Tensor | None:
    """`(1, t, c) -> (1, tokens, c)`, after the number of class tokens that leaves a square grid in both."""
    for prefix, side, new_side in _grids(embedding.shape[1], tokens):
        return resample_position_embedding(embedding, (side, side), (new_side, new_side), prefix)
    return None


def _grids(stored: int, tokens: int) -> Iterator[tuple[int, int, int]]:
    """Yield the numbers of class tokens that leave square grids, and the sides of these."""
    for prefix in range(3):
        side, new_side = isqrt(max(stored - prefix, 0)), isqrt(max(tokens - prefix, 0))
        if side and new_side and side**2 + prefix == stored and new_side**2 + prefix == tokens:
            yield prefix, side, new_side


def _square_table(table: Tensor, entries: int, *, align_corners: bool) -> Tensor | None:
    """`(side^2, heads) -> (entries, heads)`: one entry per offset or distance.

    With `align_corners` the first entry, distance 0, is unchanged.
    """
    side, new_side = isqrt(table.shape[0]), isqrt(entries)
    if side**2 != table.shape[0] or new_side**2 != entries:
        return None
    grid = table.T.reshape(1, -1, side, side)  # (side side) heads -> 1 heads side side
    grid = F.interpolate(grid.float(), size=(new_side, new_side), mode="bicubic", align_corners=align_corners)
    return grid.flatten(2)[0].T.contiguous().to(table.dtype)


def sides(name: str, stored: Sequence[int], shape: Sequence[int]) -> tuple[int, int] | None:
    """Return the number of positions along a side, in a file and in a network, of a parameter of positions.

    Args:
        name: name of the parameter in the network, which tells its kind.
        stored: its shape in the file.
        shape: its shape in the network.

    Returns:
        Of the grid, or of the window for the relative positions of a Swin Transformer; None for another kind.
    """
    kind = name.rpartition(".")[2]
    if len(stored) != len(shape):
        return None
    if kind in ("pos_embed", "decoder_pos_embed") and len(shape) == 3:
        return next(((old, new) for _, old, new in _grids(stored[1], shape[1])), None)
    if kind == "relative_position_bias_table":
        return (isqrt(stored[0]) + 1) // 2, (isqrt(shape[0]) + 1) // 2
    if kind in ("attention_biases", "att_mask"):
        return isqrt(stored[1]), isqrt(shape[1])
    if kind == "complex_weight":
        return stored[0], shape[0]
    return None
