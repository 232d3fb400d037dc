"""Shared by both implementations: loading and storing tiles, and the last step of the branch."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def load_tile(matrix, row, column, rows, columns):
    """Load a tile of a contiguous `(rows, columns)` matrix at `row` x `column`, zero outside."""
    mask = (row < rows)[:, None] & (column < columns)[None, :]
    return tl.load(matrix + row.to(tl.int64)[:, None] * columns + column[None, :], mask=mask, other=0.0)


@triton.jit
def store_tile(tile, matrix, row, column, rows, columns):
    """Store a tile to a contiguous `(rows, columns)` matrix at `row` x `column`, in the matrix's dtype."""
    mask = (row < rows)[:, None] & (column < columns)[None, :]
    pointers = matrix + row.to(tl.int64)[:, None] * columns + column[None, :]
    tl.store(pointers, tile.to(matrix.dtype.element_ty), mask=mask)


@triton.jit
def load_vector(vector, index, size):
    """Load entries of a vector in float32, zero outside."""
    return tl.load(vector + index, mask=index < size, other=0.0).to(tl.float32)


@triton.jit
def store_with_shortcut(
    branch, row, column, bias2, gamma, sample_scale, shortcut, y, rows, positions, columns,
    stride_image, stride_position, stride_channel,
):  # fmt: skip
    """Store `shortcut + sample_scale * gamma * (branch + bias2)` for a float32 tile of the branch."""
    branch += load_vector(bias2, column, columns)[None, :]
    if gamma is not None:
        branch *= load_vector(gamma, column, columns)[None, :]
    image = row // positions
    mask = (row < rows)[:, None] & (column < columns)[None, :]
    if sample_scale is not None:
        branch *= tl.load(sample_scale + image, mask=row < rows, other=0.0).to(tl.float32)[:, None]
    start = image.to(tl.int64) * stride_image + (row % positions).to(tl.int64) * stride_position
    residual = tl.load(shortcut + start[:, None] + column[None, :] * stride_channel, mask=mask, other=0.0)
    store_tile(branch + residual.to(tl.float32), y, row, column, rows, columns)
