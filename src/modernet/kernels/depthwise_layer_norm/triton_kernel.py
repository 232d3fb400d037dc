"""Depthwise convolution, bias and LayerNorm in one pass, and the gradient of that norm, in Triton.

A program convolves all channels of a few positions, one block of channels after the other, as `depthwise_conv` does,
and keeps the sums of all blocks in registers until mean and variance over channels are known. So x is read once and
the normalised result written once.

    for block in channel blocks:   sums[block] = convolve(x, block)            rows x columns x channels, in registers
    mean, variance over all blocks, in two passes over registers: exact
    for block in channel blocks:   y = (sums[block] - mean) / deviation * norm_weight + norm_bias

The size of a block is a power of two, and there may be three: a ConvNeXt has 96, 192, 384 and 768 channels.
"""

# Tuples of tensors grow in unrolled loops. Triton joins tuples but does not unpack them; mypy wants them of one length.
# ruff: noqa: RUF005
# mypy: disable-error-code="assignment, var-annotated"

from __future__ import annotations

from dataclasses import dataclass

import torch
import triton
import triton.language as tl
from torch import Tensor

from modernet.kernels.depthwise_conv.triton_kernel import (
    convolve,
    even_band,
    even_rows,
    load_parameter,
    taps_of,
)
from modernet.kernels.launch import OPTIONS

GRADIENT_PROGRAMS = 1056
"""Programs that share the norm's gradient. A constant, so that the order of its sums does not depend on the device."""


@dataclass(frozen=True)
class NormTile:
    """What one program works on: `rows` x `columns` positions and all channels, in `blocks` blocks of `channels`.

    Attributes:
        rows: output rows, whose sums are held in registers for all channels.
        columns: columns, counted through the batch; a power of two.
        channels: a power of two.
        blocks: `blocks * channels` is the number of channels or more.
        band: rows of the kernel whose taps are held at once.
        num_warps: groups of 32 threads.
    """

    rows: int
    columns: int
    channels: int
    blocks: int
    band: int
    num_warps: int


@dataclass(frozen=True)
class GradientTile:
    """What one program of the norm's gradient works on at a time.

    Attributes:
        positions: a power of two.
        channels: a power of two.
        blocks: `blocks * channels` is the number of channels or more.
        num_warps: groups of 32 threads.
    """

    positions: int
    channels: int
    blocks: int
    num_warps: int


def forward_tile(channels: int, kernel_size: int, height: int) -> NormTile:
    """Blocks of up to 128 channels, three of them where that pads less: 96 is 3 x 32, 128 is 1 x 128, 512 is 4 x 128.

    As many columns as give each thread 8 channels of one position, and up to 12 such sums of it in its registers.
    """
    few = max(3, triton.cdiv(channels, 128))
    sizes = [size for size in (128, 64, 32, 16) if triton.cdiv(channels, size) <= few]
    block = min(sizes, key=lambda size: triton.cdiv(channels, size) * size)
    blocks = triton.cdiv(channels, block)
    num_warps = 4 if block < 128 else 8  # more threads than channels in a block, see `load_parameter`
    rows = even_rows(height, min(8, max(1, 12 // blocks)))
    return NormTile(rows, 256 * num_warps // block, block, blocks, even_band(kernel_size, 7), num_warps)


def gradient_tile(channels: int) -> GradientTile:
    """All channels in one block or three, and as many positions as give each of 128 threads 8 numbers of a block."""
    one, third = triton.next_power_of_2(channels), triton.next_power_of_2(triton.cdiv(channels, 3))
    blocks, block = (3, third) if third >= 16 and 3 * third < one else (1, max(16, one))
    return GradientTile(max(1, 1024 // block), block, blocks, 4)


def depthwise_layer_norm_forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, norm_weight: Tensor, norm_bias: Tensor, eps: float,
    *, keep_convolution: bool, tile: NormTile | None = None,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """`(b, c, h, w)` -> the normalised `(b, h, w, c)` and, if it is to be kept, the convolution before that."""
    x = x.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = x.shape
    y = x.new_empty((batch, height, width, channels))
    convolution = torch.empty_like(y) if keep_convolution else None
    if not y.numel():
        return y, convolution
    tile = tile or forward_tile(channels, weight.shape[-1], height)
    columns = batch * width
    with torch.cuda.device_of(x):
        _forward[(triton.cdiv(height, tile.rows) * triton.cdiv(columns, tile.columns),)](
            x, taps_of(weight, tile.band), bias, norm_weight, norm_bias, y, convolution, columns, height, width, eps,
            CHANNELS=channels, KERNEL=weight.shape[-1], BAND=tile.band,
            ROWS=tile.rows, COLUMNS=tile.columns, BLOCK=tile.channels, BLOCKS=tile.blocks,
            num_warps=tile.num_warps, **OPTIONS,
        )  # fmt: skip
    return y, convolution


def norm_gradient(
    dy: Tensor, convolution: Tensor, norm_weight: Tensor, eps: float,
    *, tile: GradientTile | None = None, programs: int = GRADIENT_PROGRAMS,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Gradients of the convolution's output `(b, h, w, c)`, and in float32 of the norm's weight and bias `(c,)`.

    Mean and deviation are computed again, since the channels of a position are in registers anyway.
    """
    dy, channels = dy.contiguous(), convolution.shape[-1]
    positions = convolution.numel() // max(1, channels)
    tile = tile or gradient_tile(channels)
    tiles = triton.cdiv(positions, tile.positions)
    shares = max(1, min(tiles, programs))
    gradient = torch.empty_like(convolution)
    sums = dy.new_empty((shares, 2, channels), dtype=torch.float32)
    with torch.cuda.device_of(dy):
        _norm_gradient[(shares,)](
            dy, convolution, norm_weight, gradient, sums, positions, tiles, triton.cdiv(tiles, shares), eps,
            CHANNELS=channels, POSITIONS=tile.positions, BLOCK=tile.channels, BLOCKS=tile.blocks,
            num_warps=tile.num_warps, **OPTIONS,
        )  # fmt: skip
    return gradient, sums[:, 0].sum(0), sums[:, 1].sum(0)


@triton.jit
def _mean_and_rstd(
    blocks, at, channel, eps, CHANNELS: tl.constexpr, BLOCK: tl.constexpr, BLOCKS: tl.constexpr, STEP: tl.constexpr
):  # fmt: skip
    """Over the channels of blocks `at`, `at + STEP`, ... of a tuple whose places behind the last channel hold 0."""
    total = tl.sum(blocks[at], axis=1)
    for n in tl.static_range(1, BLOCKS):
        total += tl.sum(blocks[at + n * STEP], axis=1)
    mean = total / CHANNELS
    squares = tl.zeros_like(mean)
    for n in tl.static_range(BLOCKS):
        apart = tl.where((channel + n * BLOCK < CHANNELS)[None, :], blocks[at + n * STEP] - mean[:, None], 0.0)
        squares += tl.sum(apart * apart, axis=1)
    return mean, tl.rsqrt(squares / CHANNELS + eps)


@triton.jit
def _forward(
    x_ptr, taps_ptr, bias_ptr, norm_weight_ptr, norm_bias_ptr, y_ptr, convolution_ptr, columns, height, width, eps,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, BAND: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    strips = tl.cdiv(height, ROWS)
    program = tl.program_id(0)
    top = program % strips * ROWS
    at = program // strips * COLUMNS + tl.arange(0, COLUMNS)
    channel = tl.arange(0, BLOCK)
    column = tl.where(at < columns, at % width, -KERNEL)
    position = (at // width).to(tl.int64) * height * width + at % width
    offset = position[:, None] * CHANNELS + channel[None, :]

    sums = ()  # block by block, in it row by row
    for n in tl.static_range(BLOCKS):
        here = channel + n * BLOCK
        rows = convolve(
            x_ptr + offset + n * BLOCK, taps_ptr, column, here, top, height, width, CHANNELS, KERNEL, BAND, ROWS
        )
        bias = tl.zeros((1, BLOCK), tl.float32)
        if bias_ptr is not None:
            bias += load_parameter(bias_ptr, here, CHANNELS)
        for o in tl.static_range(ROWS):
            sums = sums + (rows[o] + bias,)

    tops = top + tl.zeros((1, 1), tl.int32)
    for o in tl.static_range(ROWS):
        row = tops + o
        mean, rstd = _mean_and_rstd(sums, o, channel, eps, CHANNELS, BLOCK, BLOCKS, ROWS)
        for n in tl.static_range(BLOCKS):
            here = channel + n * BLOCK
            mask = (at < columns)[:, None] & (here < CHANNELS)[None, :] & (row < height)
            place = offset + n * BLOCK + row.to(tl.int64) * width * CHANNELS
            scale = load_parameter(norm_weight_ptr, here, CHANNELS)
            shift = load_parameter(norm_bias_ptr, here, CHANNELS)
            value = sums[n * ROWS + o]
            if convolution_ptr is not None:
                tl.store(convolution_ptr + place, value.to(y_ptr.dtype.element_ty), mask)
            y = (value - mean[:, None]) * rstd[:, None] * scale + shift
            tl.store(y_ptr + place, y.to(y_ptr.dtype.element_ty), mask)


@triton.jit
def _norm_gradient(
    dy_ptr, convolution_ptr, norm_weight_ptr, gradient_ptr, sums_ptr, positions, tiles, tiles_each, eps,
    CHANNELS: tl.constexpr, POSITIONS: tl.constexpr, BLOCK: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """With n the normalised convolution and g = dy * norm_weight: (g - mean(g) - n * mean(g * n)) / deviation.

    Sums over a share of the positions of dy * n and of dy, for the norm's weight and bias, go to `sums[share]`.
    """
    share = tl.program_id(0)
    channel = tl.arange(0, BLOCK)
    scales = ()
    for n in tl.static_range(BLOCKS):
        scales = scales + (load_parameter(norm_weight_ptr, channel + n * BLOCK, CHANNELS),)
    sums = ()  # of dy * n for every block, then of dy
    for _ in tl.static_range(2 * BLOCKS):
        sums = sums + (tl.zeros((POSITIONS, BLOCK), tl.float32),)
    for tile in range(share * tiles_each, tl.minimum((share + 1) * tiles_each, tiles)):
        at = tile * POSITIONS + tl.arange(0, POSITIONS)
        offset = at.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        values = ()
        dys = ()
        for n in tl.static_range(BLOCKS):
            mask = (at < positions)[:, None] & (channel + n * BLOCK < CHANNELS)[None, :]
            values = values + (tl.load(convolution_ptr + offset + n * BLOCK, mask, other=0.0).to(tl.float32),)
            dys = dys + (tl.load(dy_ptr + offset + n * BLOCK, mask, other=0.0).to(tl.float32),)
        mean, rstd = _mean_and_rstd(values, 0, channel, eps, CHANNELS, BLOCK, BLOCKS, 1)

        of_g = tl.zeros_like(mean)
        of_gn = tl.zeros_like(mean)
        normed = ()
        for n in tl.static_range(BLOCKS):
            normed = normed + ((values[n] - mean[:, None]) * rstd[:, None],)
            of_g += tl.sum(dys[n] * scales[n], axis=1)
            of_gn += tl.sum(dys[n] * scales[n] * normed[n], axis=1)
        of_g = of_g / CHANNELS
        of_gn = of_gn / CHANNELS
        longer = ()
        for n in tl.static_range(BLOCKS):
            here = channel + n * BLOCK
            gradient = (dys[n] * scales[n] - of_g[:, None] - normed[n] * of_gn[:, None]) * rstd[:, None]
            mask = (at < positions)[:, None] & (here < CHANNELS)[None, :]
            tl.store(gradient_ptr + offset + n * BLOCK, gradient.to(gradient_ptr.dtype.element_ty), mask)
            longer = longer + (sums[n] + dys[n] * normed[n],)
        for n in tl.static_range(BLOCKS):
            longer = longer + (sums[BLOCKS + n] + dys[n],)
        sums = longer

    for n in tl.static_range(2 * BLOCKS):
        here = channel + n % BLOCKS * BLOCK
        place = sums_ptr + (share * 2 + n // BLOCKS) * CHANNELS + here
        tl.store(place, tl.sum(sums[n], axis=0), here < CHANNELS)
