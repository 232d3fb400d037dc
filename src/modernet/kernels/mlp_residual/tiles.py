"""What the kernels of both forms share: reading and writing tiles, and the last step of the branch."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def load_tile(matrix, row, column, rows, columns):
    """The entries of a contiguous `(rows, columns)` matrix at `row` x `column`, zero outside of it."""
    mask = (row < rows)[:, None] & (column < columns)[None, :]
    return tl.load(matrix + row.to(tl.int64)[:, None] * columns + column[None, :], mask=mask, other=0.0)


@triton.jit
def store_tile(tile, matrix, row, column, rows, columns):
    """Write the entries of a contiguous `(rows, columns)` matrix at `row` x `column`, in the type of the matrix."""
    mask = (row < rows)[:, None] & (column < columns)[None, :]
    place = matrix + row.to(tl.int64)[:, None] * columns + column[None, :]
    tl.store(place, tile.to(matrix.dtype.element_ty), mask=mask)


@triton.jit
def load_vector(vector, index, size):
    """Entries of a vector in float32, zero outside of it."""
    return tl.load(vector + index, mask=index < size, other=0.0).to(tl.float32)


@triton.jit
def store_with_shortcut(
    branch, row, column, bias2, gamma, sample_scale, shortcut, y, rows, positions, columns,
    stride_image, stride_position, stride_channel,
):  # fmt: skip
    """`shortcut + sample_scale * gamma * (branch + bias2)`, for a tile of the branch in float32."""
    branch += load_vector(bias2, column, columns)[None, :]
    if gamma is not None:
        branch *= load_vector(gamma, column, columns)[None, :]
    image = row // positions
    mask = (row < rows)[:, None] & (column < columns)[None, :]
    if sample_scale is not None:
        branch *= tl.load(sample_scale + image, mask=row < rows, other=0.0).to(tl.float32)[:, None]
    start = image.to(tl.int64) * stride_image + (row % positions).to(tl.int64) * stride_position
    kept = tl.load(shortcut + start[:, None] + column[None, :] * stride_channel, mask=mask, other=0.0)
    store_tile(branch + kept.to(tl.float32), y, row, column, rows, columns)
