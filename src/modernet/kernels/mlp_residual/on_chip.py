"""The implementation for few channels: the hidden activation never reaches memory, in forward or backward.

A program has some rows (positions) with all their channels, and iterates over blocks of hidden channels: each block is
computed, used and discarded. The backward pass recomputes it in two kernels: one owns rows and returns the gradient of
`x`, the other owns hidden channels, iterates over rows and returns the gradients of the weights. This needs two
more products than storing the hidden activation and its gradient would, and saves 16 passes over `(rows, channels)`.

Tensor cores require power-of-two tiles, which most widths of ConvNeXt are not: padding 96 to 128 would waste a quarter
of every product. But they are sums of two powers: 96 = 64 + 32, 192 = 128 + 64, 80 = 64 + 16. So channels are split in
two, called main and rest; rest is 0 where one power of two suffices.

`weight2` is transposed first, a copy of `(hidden, channels)`. Then every matrix has channels as columns, and all work
consists of two kinds of products: over channels, and over the other dimension.
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

MAX_CHANNELS = 256
"""Limit; float32 accumulators for 128 rows and 256 channels fill half of a multiprocessor's registers."""


class Blocks(NamedTuple):
    """Partition of the work.

    Attributes:
        rows, hidden: tile size; powers of two, 16 or more.
        num_warps, num_stages: per program.
        num_programs: programs for the weight gradients, each with its own sums; two for each of the 132
            multiprocessors of an H100 or H200.
    """

    rows: int
    hidden: int
    num_warps: int
    num_stages: int
    num_programs: int = 264


# Chosen for little or no register spilling when compiled for an H100. Not tuned on a GPU yet.
# Float32 products run from registers without tensor cores, so their tiles are small.


def forward_blocks(dtype: torch.dtype, channels: int) -> Blocks:
    if dtype == torch.float32:
        return Blocks(16, 16, 4, 1)
    return Blocks(128, 64, 8, 2) if channels <= 192 else Blocks(64, 64, 8, 2)


def input_gradient_blocks(dtype: torch.dtype, channels: int) -> Blocks:
    if dtype == torch.float32:
        return Blocks(16, 16, 4, 1)
    return Blocks(64, 64, 8, 2) if channels <= 192 else Blocks(64, 32, 8, 2)


def weight_gradients_blocks(dtype: torch.dtype, channels: int) -> Blocks:
    if dtype == torch.float32:
        return Blocks(16, 16, 4, 1)
    return Blocks(32, 64, 4, 2) if channels <= 128 else Blocks(32, 64, 8, 2)


def split_channels(channels: int) -> tuple[int, int]:
    """Split channels into main and rest, each a power of two, 16 or more; rest is 0 if main holds all channels."""
    main = max(triton.next_power_of_2(channels + 1) // 2, 16)
    rest = max(triton.next_power_of_2(channels - main), 16) if channels > main else 0
    return main, rest


@triton.jit
def _load(matrix, row, rows, CHANNELS: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr):
    """Load rows of a matrix with channels as columns, as main and rest."""
    main = load_tile(matrix, row, tl.arange(0, MAIN), rows, CHANNELS)
    rest = main
    if REST > 0:
        rest = load_tile(matrix, row, MAIN + tl.arange(0, REST), rows, CHANNELS)
    return main, rest


@triton.jit
def _load_gradient(
    grad, sample_scale, row, rows, positions, CHANNELS: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr
):
    """Load rows of the gradient times their sample's scale, in float32, as main and rest."""
    main, rest = _load(grad, row, rows, CHANNELS, MAIN, REST)
    main = main.to(tl.float32)
    rest = rest.to(tl.float32)
    if sample_scale is not None:
        scale = tl.load(sample_scale + row // positions, mask=row < rows, other=0.0).to(tl.float32)
        main *= scale[:, None]
        rest *= scale[:, None]
    return main, rest


@triton.jit
def _times_gamma(main, rest, gamma, CHANNELS: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr):
    if gamma is not None:
        main *= load_vector(gamma, tl.arange(0, MAIN), CHANNELS)[None, :]
        if REST > 0:
            rest *= load_vector(gamma, MAIN + tl.arange(0, REST), CHANNELS)[None, :]
    return main, rest


@triton.jit
def _zeros(ROWS: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr):
    main = tl.zeros((ROWS, MAIN), tl.float32)
    rest = main
    if REST > 0:
        rest = tl.zeros((ROWS, REST), tl.float32)
    return main, rest


@triton.jit
def _over_channels(left_main, left_rest, right_main, right_rest, REST: tl.constexpr, PRECISION: tl.constexpr):
    """Return `left right^T`: (m, channels) and (n, channels) give (m, n)."""
    product = tl.dot(left_main, tl.trans(right_main), input_precision=PRECISION)
    if REST > 0:
        product = tl.dot(left_rest, tl.trans(right_rest), product, input_precision=PRECISION)
    return product


@triton.jit
def _add_product(main, rest, left, right_main, right_rest, REST: tl.constexpr, PRECISION: tl.constexpr):
    """Return `sum + left right`: (m, n) and (n, channels) add to (m, channels)."""
    main = tl.dot(left, right_main, main, input_precision=PRECISION)
    if REST > 0:
        rest = tl.dot(left, right_rest, rest, input_precision=PRECISION)
    return main, rest


@triton.jit
def _store(main, rest, matrix, row, rows, CHANNELS: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr):
    store_tile(main, matrix, row, tl.arange(0, MAIN), rows, CHANNELS)
    if REST > 0:
        store_tile(rest, matrix, row, MAIN + tl.arange(0, REST), rows, CHANNELS)


@triton.jit
def _forward_kernel(
    x, shortcut, weight1, bias1, weight2, bias2, gamma, sample_scale, y, rows, positions,
    stride_image, stride_position, stride_channel,
    CHANNELS: tl.constexpr, HIDDEN: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_HIDDEN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    x_main, x_rest = _load(x, row, rows, CHANNELS, MAIN, REST)
    y_main, y_rest = _zeros(BLOCK_ROWS, MAIN, REST)
    for start in range(0, HIDDEN, BLOCK_HIDDEN):
        hidden = start + tl.arange(0, BLOCK_HIDDEN)
        w1_main, w1_rest = _load(weight1, hidden, HIDDEN, CHANNELS, MAIN, REST)
        w2_main, w2_rest = _load(weight2, hidden, HIDDEN, CHANNELS, MAIN, REST)
        a = _over_channels(x_main, x_rest, w1_main, w1_rest, REST, PRECISION)
        h = gelu(a + load_vector(bias1, hidden, HIDDEN)[None, :])
        y_main, y_rest = _add_product(y_main, y_rest, h.to(x_main.dtype), w2_main, w2_rest, REST, PRECISION)
    store_with_shortcut(
        y_main, row, tl.arange(0, MAIN), bias2, gamma, sample_scale, shortcut, y, rows, positions, CHANNELS,
        stride_image, stride_position, stride_channel,
    )  # fmt: skip
    if REST > 0:
        store_with_shortcut(
            y_rest, row, MAIN + tl.arange(0, REST), bias2, gamma, sample_scale, shortcut, y, rows, positions, CHANNELS,
            stride_image, stride_position, stride_channel,
        )  # fmt: skip


@triton.jit
def _input_gradient_kernel(
    grad, x, weight1, bias1, weight2, gamma, sample_scale, grad_x, rows, positions,
    CHANNELS: tl.constexpr, HIDDEN: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_HIDDEN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0) * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    x_main, x_rest = _load(x, row, rows, CHANNELS, MAIN, REST)
    g_main, g_rest = _load_gradient(grad, sample_scale, row, rows, positions, CHANNELS, MAIN, REST)
    g_main, g_rest = _times_gamma(g_main, g_rest, gamma, CHANNELS, MAIN, REST)
    g_main = g_main.to(x_main.dtype)
    g_rest = g_rest.to(x_main.dtype)
    sum_main, sum_rest = _zeros(BLOCK_ROWS, MAIN, REST)
    for start in range(0, HIDDEN, BLOCK_HIDDEN):
        hidden = start + tl.arange(0, BLOCK_HIDDEN)
        w1_main, w1_rest = _load(weight1, hidden, HIDDEN, CHANNELS, MAIN, REST)
        w2_main, w2_rest = _load(weight2, hidden, HIDDEN, CHANNELS, MAIN, REST)
        a = _over_channels(x_main, x_rest, w1_main, w1_rest, REST, PRECISION)
        _, slope = gelu_and_slope(a + load_vector(bias1, hidden, HIDDEN)[None, :])
        grad_a = _over_channels(g_main, g_rest, w2_main, w2_rest, REST, PRECISION) * slope
        sum_main, sum_rest = _add_product(
            sum_main, sum_rest, grad_a.to(x_main.dtype), w1_main, w1_rest, REST, PRECISION
        )
    _store(sum_main, sum_rest, grad_x, row, rows, CHANNELS, MAIN, REST)


@triton.jit
def _weight_gradients_kernel(
    grad, x, weight1, bias1, weight2, gamma, sample_scale,
    weight1_sums, bias1_sums, weight2_sums, rows, positions, rows_per_slice,
    CHANNELS: tl.constexpr, HIDDEN: tl.constexpr, MAIN: tl.constexpr, REST: tl.constexpr,
    BLOCK_ROWS: tl.constexpr, BLOCK_HIDDEN: tl.constexpr, PRECISION: tl.constexpr,
):  # fmt: skip
    # programs with the same rows are adjacent, so that one reads them from memory and the others from cache
    blocks = tl.cdiv(HIDDEN, BLOCK_HIDDEN)
    slice_index = tl.program_id(0) // blocks
    block = tl.program_id(0) % blocks
    hidden = block * BLOCK_HIDDEN + tl.arange(0, BLOCK_HIDDEN)
    w1_main, w1_rest = _load(weight1, hidden, HIDDEN, CHANNELS, MAIN, REST)
    w2_main, w2_rest = _load(weight2, hidden, HIDDEN, CHANNELS, MAIN, REST)
    bias = load_vector(bias1, hidden, HIDDEN)[:, None]
    w1_sum_main, w1_sum_rest = _zeros(BLOCK_HIDDEN, MAIN, REST)
    w2_sum_main, w2_sum_rest = _zeros(BLOCK_HIDDEN, MAIN, REST)
    bias1_sum = tl.zeros((BLOCK_HIDDEN,), tl.float32)
    for start in range(slice_index * rows_per_slice, tl.minimum((slice_index + 1) * rows_per_slice, rows), BLOCK_ROWS):
        row = start + tl.arange(0, BLOCK_ROWS)
        x_main, x_rest = _load(x, row, rows, CHANNELS, MAIN, REST)
        g_main, g_rest = _load_gradient(grad, sample_scale, row, rows, positions, CHANNELS, MAIN, REST)
        # hidden x rows, since it is the left operand of the products with x and the gradient
        a = _over_channels(w1_main, w1_rest, x_main, x_rest, REST, PRECISION)
        h, slope = gelu_and_slope(a + bias)
        w2_sum_main, w2_sum_rest = _add_product(
            w2_sum_main, w2_sum_rest, h.to(x_main.dtype), g_main.to(x_main.dtype), g_rest.to(x_main.dtype),
            REST, PRECISION,
        )  # fmt: skip
        g_main, g_rest = _times_gamma(g_main, g_rest, gamma, CHANNELS, MAIN, REST)
        grad_h = _over_channels(w2_main, w2_rest, g_main.to(x_main.dtype), g_rest.to(x_main.dtype), REST, PRECISION)
        grad_a = grad_h * slope
        bias1_sum += tl.sum(grad_a, 1)
        w1_sum_main, w1_sum_rest = _add_product(
            w1_sum_main, w1_sum_rest, grad_a.to(x_main.dtype), x_main, x_rest, REST, PRECISION
        )
    start = slice_index.to(tl.int64) * HIDDEN
    _store(w1_sum_main, w1_sum_rest, weight1_sums + start * CHANNELS, hidden, HIDDEN, CHANNELS, MAIN, REST)
    _store(w2_sum_main, w2_sum_rest, weight2_sums + start * CHANNELS, hidden, HIDDEN, CHANNELS, MAIN, REST)
    tl.store(bias1_sums + start + hidden, bias1_sum, mask=hidden < HIDDEN)


def forward(
    x: Tensor, shortcut: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor, bias2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, y: Tensor, blocks: Blocks | None = None,
) -> None:  # fmt: skip
    """Write the result to `y`.

    Args:
        x, y: `(b, h, w, c)`, contiguous.
        shortcut: `(b, c, h, w)`, with h and w contiguous as one dimension.
    """
    blocks = blocks or forward_blocks(x.dtype, x.shape[3])
    rows, positions = x.shape[:3].numel(), x.shape[1:3].numel()
    _forward_kernel[(triton.cdiv(rows, blocks.rows),)](
        x, shortcut, weight1, bias1, weight2.t().contiguous(), bias2, gamma, sample_scale, y, rows, positions,
        shortcut.stride(0), shortcut.stride(3), shortcut.stride(1), **_constants(weight1, blocks),
    )  # fmt: skip


def input_gradient(
    grad: Tensor, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, blocks: Blocks | None = None,
) -> Tensor:  # fmt: skip
    """Return the gradient of `x`; `grad` is `(b, h, w, c)`, contiguous."""
    blocks = blocks or input_gradient_blocks(x.dtype, x.shape[3])
    rows = x.shape[:3].numel()
    grad_x = torch.empty_like(x)
    _input_gradient_kernel[(triton.cdiv(rows, blocks.rows),)](
        grad, x, weight1, bias1, weight2.t().contiguous(), gamma, sample_scale, grad_x, rows, x.shape[1:3].numel(),
        **_constants(weight1, blocks),
    )  # fmt: skip
    return grad_x


def weight_gradients(
    grad: Tensor, x: Tensor, weight1: Tensor, bias1: Tensor, weight2: Tensor,
    gamma: Tensor | None, sample_scale: Tensor | None, blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return, in float32, the gradients of `weight1` and `bias1`, and hidden^T times scaled gradient, `(hidden, c)`."""
    blocks = blocks or weight_gradients_blocks(x.dtype, x.shape[3])
    hidden, channels = weight1.shape
    rows = x.shape[:3].numel()
    across = triton.cdiv(hidden, blocks.hidden)
    # enough slices to keep all programs busy; a slice is a whole number of tiles
    tiles = triton.cdiv(rows, blocks.rows)
    rows_per_slice = triton.cdiv(tiles, max(blocks.num_programs // across, 1)) * blocks.rows
    slices = triton.cdiv(rows, rows_per_slice)
    weight1_sums = x.new_empty((slices, hidden, channels), dtype=torch.float32)
    weight2_sums = torch.empty_like(weight1_sums)
    bias1_sums = x.new_empty((slices, hidden), dtype=torch.float32)
    _weight_gradients_kernel[(slices * across,)](
        grad, x, weight1, bias1, weight2.t().contiguous(), gamma, sample_scale,
        weight1_sums, bias1_sums, weight2_sums, rows, x.shape[1:3].numel(), rows_per_slice,
        **_constants(weight1, blocks),
    )  # fmt: skip
    return weight1_sums.sum(0), bias1_sums.sum(0), weight2_sums.sum(0)


def _constants(weight1: Tensor, blocks: Blocks) -> dict[str, Any]:
    """Return the constants that a kernel is compiled for."""
    hidden, channels = weight1.shape
    main, rest = split_channels(channels)
    return {
        "CHANNELS": channels, "HIDDEN": hidden, "MAIN": main, "REST": rest,
        "BLOCK_ROWS": blocks.rows, "BLOCK_HIDDEN": blocks.hidden, "PRECISION": dot_precision(),
        "num_warps": blocks.num_warps, "num_stages": blocks.num_stages, **OPTIONS,
    }  # fmt: skip
