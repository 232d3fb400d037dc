"""The implementation for many channels: matrix products with fused epilogues.

The first product writes the hidden activation (bias and GELU in its epilogue), the second reads it (bias, layer scale,
stochastic depth and residual in its epilogue). Training also saves the hidden layer before GELU: at these widths
arithmetic dominates, and recomputing that layer would be a fifth product in the backward pass. Of its four products,
one runs here with the derivative of GELU in its epilogue, and three plain ones run in PyTorch's library.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from modernet.kernels.gelu import gelu, gelu_and_slope
from modernet.kernels.launch import OPTIONS, dot_precision
from modernet.kernels.mlp_residual.tiles import load_tile, load_vector, store_tile, store_with_shortcut


class Blocks(NamedTuple):
    """Tile of a product: rows and columns of the result, and the inner dimension per step.

    All three are powers of two, 16 or more.
    """

    rows: int
    columns: int
    inner: int
    num_warps: int
    num_stages: int


def default_blocks(dtype: torch.dtype) -> Blocks:
    """Return smaller tiles for float32, which does not use tensor cores. Not tuned on a GPU yet."""
    return Blocks(64, 64, 32, 4, 2) if dtype == torch.float32 else Blocks(128, 128, 64, 8, 3)


@triton.jit
def _tile_position(rows, columns, BLOCK_ROWS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr):
    """Return the rows and columns of a program's tile.

    Programs with the same rows are adjacent, and read them from cache, as they do the weights, which fit there.
    """
    across = tl.cdiv(columns, BLOCK_COLUMNS)
    row = (tl.program_id(0) // across) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column = (tl.program_id(0) % across) * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    return row, column


@triton.jit
def _product(
    left, right, row, column, rows, columns, inner,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr, BLOCK_INNER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    """Return a float32 tile of `left right^T`; `left` is (rows, inner), `right` (columns, inner)."""
    total = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), tl.float32)
    for start in range(0, inner, BLOCK_INNER):
        index = start + tl.arange(0, BLOCK_INNER)
        a = load_tile(left, row, index, rows, inner).to(right.dtype.element_ty)
        b = load_tile(right, column, index, columns, inner)
        total = tl.dot(a, tl.trans(b), total, input_precision=PRECISION)
    return total


@triton.jit
def _expand_kernel(
    x, weight1, bias1, h, before_gelu, rows, columns, inner,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr, BLOCK_INNER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row, column = _tile_position(rows, columns, BLOCK_ROWS, BLOCK_COLUMNS)
    a = _product(x, weight1, row, column, rows, columns, inner, BLOCK_ROWS, BLOCK_COLUMNS, BLOCK_INNER, PRECISION)
    a += load_vector(bias1, column, columns)[None, :]
    store_tile(gelu(a), h, row, column, rows, columns)
    if before_gelu is not None:
        store_tile(a, before_gelu, row, column, rows, columns)


@triton.jit
def _project_kernel(
    h, weight2, bias2, gamma, sample_scale, shortcut, y, positions, stride_image, stride_position, stride_channel,
    rows, columns, inner,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr, BLOCK_INNER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row, column = _tile_position(rows, columns, BLOCK_ROWS, BLOCK_COLUMNS)
    branch = _product(h, weight2, row, column, rows, columns, inner, BLOCK_ROWS, BLOCK_COLUMNS, BLOCK_INNER, PRECISION)
    store_with_shortcut(
        branch, row, column, bias2, gamma, sample_scale, shortcut, y, rows, positions, columns,
        stride_image, stride_position, stride_channel,
    )  # fmt: skip


@triton.jit
def _hidden_gradient_kernel(
    grad, weight, before_gelu, sample_scale, factor, h, grad_a, bias1_sums, positions, rows, columns, inner,
    BLOCK_ROWS: tl.constexpr, BLOCK_COLUMNS: tl.constexpr, BLOCK_INNER: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row, column = _tile_position(rows, columns, BLOCK_ROWS, BLOCK_COLUMNS)
    grad_h = _product(
        grad, weight, row, column, rows, columns, inner, BLOCK_ROWS, BLOCK_COLUMNS, BLOCK_INNER, PRECISION
    )
    grad_h *= tl.load(factor)
    activation, slope = gelu_and_slope(load_tile(before_gelu, row, column, rows, columns).to(tl.float32))
    if sample_scale is not None:
        scale = tl.load(sample_scale + row // positions, mask=row < rows, other=0.0).to(tl.float32)[:, None]
        grad_h *= scale
        activation *= scale
    store_tile(activation, h, row, column, rows, columns)
    grad_h *= slope
    store_tile(grad_h, grad_a, row, column, rows, columns)
    offsets = (tl.program_id(0) // tl.cdiv(columns, BLOCK_COLUMNS)).to(tl.int64) * columns + column
    tl.store(bias1_sums + offsets, tl.sum(grad_h, 0), mask=column < columns)


def forward(
    x: Tensor, shortcut: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, y: Tensor, before_gelu: Tensor | None,
    blocks: Blocks | None = None,
) -> None:  # fmt: skip
    """Write the result to `y`, and the hidden layer before GELU to `before_gelu` if given.

    Args:
        x, y, before_gelu: `(b, h, w, c)`, contiguous; `before_gelu` has the hidden channels.
        shortcut: `(b, c, h, w)`, with h and w contiguous as one dimension.
    """
    blocks = blocks or default_blocks(x.dtype)
    rows, (hidden, channels) = x.shape[:3].numel(), weight1.shape
    h = x.new_empty((rows, hidden))
    grid, args = _launch_args(rows, hidden, channels, blocks)
    _expand_kernel[grid](x, weight1, bias1, h, before_gelu, **args)
    grid, args = _launch_args(rows, channels, hidden, blocks)
    _project_kernel[grid](
        h, weight2, bias2, gamma, sample_scale, shortcut, y, x.shape[1:3].numel(),
        shortcut.stride(0), shortcut.stride(3), shortcut.stride(1), **args,
    )  # fmt: skip


def hidden_gradient(
    grad: Tensor, before_gelu: Tensor, weight2: Tensor, gamma: Tensor | None, sample_scale: Tensor | None,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradient of the hidden layer before GELU, and the hidden activation times each sample's scale.

    Args:
        grad, before_gelu: `(b, h, w, c)`, contiguous; `before_gelu` has the hidden channels.

    Returns:
        Both as `(b*h*w, hidden)` in the dtype of `before_gelu`, and the gradient of the first bias in float32.
    """
    blocks = blocks or default_blocks(before_gelu.dtype)
    rows, (channels, hidden) = grad.shape[:3].numel(), weight2.shape
    weight, factor = _scaled(weight2, gamma)
    grad_a = before_gelu.new_empty((rows, hidden))
    h = torch.empty_like(grad_a)
    grid, args = _launch_args(rows, hidden, channels, blocks)
    sums = grad.new_empty((triton.cdiv(rows, blocks.rows), hidden), dtype=torch.float32)
    _hidden_gradient_kernel[grid](
        grad, weight, before_gelu, sample_scale, factor, h, grad_a, sums, grad.shape[1:3].numel(), **args
    )
    return grad_a, h, sums.sum(0)


def _scaled(weight2: Tensor, gamma: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return `weight2` times gamma, transposed and divided by a factor, and that factor.

    Gamma is initially 1e-6; taking out the factor keeps half-precision products from underflowing.
    """
    if gamma is None:
        return weight2.t().contiguous(), weight2.new_ones((), dtype=torch.float32)
    gamma = gamma.float()
    factor = gamma.abs().amax().clamp_min(torch.finfo(torch.float32).tiny)
    return (weight2.t() * (gamma / factor)).to(weight2.dtype).contiguous(), factor


def _launch_args(rows: int, columns: int, inner: int, blocks: Blocks) -> tuple[tuple[int], dict[str, Any]]:
    """Return the grid of a product, and its size and tile arguments."""
    grid = (triton.cdiv(rows, blocks.rows) * triton.cdiv(columns, blocks.columns),)
    return grid, {
        "rows": rows, "columns": columns, "inner": inner,
        "BLOCK_ROWS": blocks.rows, "BLOCK_COLUMNS": blocks.columns, "BLOCK_INNER": blocks.inner,
        "PRECISION": dot_precision(), "num_warps": blocks.num_warps, "num_stages": blocks.num_stages, **OPTIONS,
    }  # fmt: skip
