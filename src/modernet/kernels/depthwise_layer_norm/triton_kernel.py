"""Depthwise convolution, bias and LayerNorm in one pass, and the gradient of the norm, in Triton.

A program convolves all channels of a few positions, one block of channels at a time, as `depthwise_conv` does, and
keeps the sums of all blocks in registers until mean and variance over channels are known. So x is read once and the
normalised result is written once.

    for block in channel blocks:   sums[block] = convolve(x, block)            rows x columns x channels, in registers
    mean, variance over all blocks                 two passes over registers
    for block in channel blocks:   y = (sums[block] - mean) / deviation * norm_weight + norm_bias

The block size is a power of two, and there may be three blocks: ConvNeXt has 96, 192, 384 and 768 channels.
"""

# Tuples of tensors grow in unrolled loops. Triton concatenates but does not unpack them; mypy expects a fixed length.
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
"""Programs for the norm's gradient. A constant, so that the order of summation does not depend on the device."""


@dataclass(frozen=True)
class NormTile:
    """The work of one program: `rows` x `columns` positions and all channels, in `blocks` blocks of `channels`.

    Attributes:
        rows: output rows, accumulated in registers for all channels.
        columns: columns, indexed across the batch; a power of two.
        channels: channels per block; a power of two.
        blocks: number of blocks; `blocks * channels` is at least the number of channels.
        band: kernel rows whose taps are in registers at once.
        num_warps: warps of 32 threads.
    """

    rows: int
    columns: int
    channels: int
    blocks: int
    band: int
    num_warps: int


@dataclass(frozen=True)
class GradientTile:
    """One step of a program of the norm's gradient.

    Attributes:
        positions: positions; a power of two.
        channels: channels per block; a power of two.
        blocks: number of blocks; `blocks * channels` is at least the number of channels.
        num_warps: warps of 32 threads.
    """

    positions: int
    channels: int
    blocks: int
    num_warps: int


def forward_tile(channels: int, kernel_size: int, height: int) -> NormTile:
    """Blocks of up to 128 channels, three of them if that pads less: 96 is 3 x 32, 128 is 1 x 128, 512 is 4 x 128.

    Columns are chosen so that each thread has 8 channels of a position, and accumulates up to 12 such groups.
    """
    at_most = max(3, triton.cdiv(channels, 128))
    sizes = [size for size in (128, 64, 32, 16) if triton.cdiv(channels, size) <= at_most]
    block = min(sizes, key=lambda size: triton.cdiv(channels, size) * size)
    blocks = triton.cdiv(channels, block)
    num_warps = 4 if block < 128 else 8  # more threads than channels in a block, see `load_parameter`
    rows = even_rows(height, min(8, max(1, 12 // blocks)))
    return NormTile(rows, 256 * num_warps // block, block, blocks, even_band(kernel_size, 7), num_warps)


def gradient_tile(channels: int) -> GradientTile:
    """All channels in one block or three, and enough positions for 8 values per block in each of 128 threads."""
    one, third = triton.next_power_of_2(channels), triton.next_power_of_2(triton.cdiv(channels, 3))
    blocks, block = (3, third) if third >= 16 and 3 * third < one else (1, max(16, one))
    return GradientTile(max(1, 1024 // block), block, blocks, 4)


def depthwise_layer_norm_forward(
    x: Tensor, weight: Tensor, bias: Tensor | None, norm_weight: Tensor, norm_bias: Tensor, eps: float,
    *, keep_convolution: bool, tile: NormTile | None = None,
) -> tuple[Tensor, Tensor | None]:  # fmt: skip
    """Return the normalised output `(b, h, w, c)` and, if requested, the convolution's output."""
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
    """Return the gradients of the convolution's output `(b, h, w, c)` and, in float32, of the norm's parameters `(c,)`.

    Mean and deviation are recomputed, since all channels of a position are in registers anyway.
    """
    dy, channels = dy.contiguous(), convolution.shape[-1]
    positions = convolution.numel() // max(1, channels)
    tile = tile or gradient_tile(channels)
    tiles = triton.cdiv(positions, tile.positions)
    slices = max(1, min(tiles, programs))
    gradient = torch.empty_like(convolution)
    sums = dy.new_empty((slices, 2, channels), dtype=torch.float32)
    with torch.cuda.device_of(dy):
        _norm_gradient[(slices,)](
            dy, convolution, norm_weight, gradient, sums, positions, tiles, triton.cdiv(tiles, slices), eps,
            CHANNELS=channels, POSITIONS=tile.positions, BLOCK=tile.channels, BLOCKS=tile.blocks,
            num_warps=tile.num_warps, **OPTIONS,
        )  # fmt: skip
    return gradient, sums[:, 0].sum(0), sums[:, 1].sum(0)


@triton.jit
def _mean_and_rstd(
    blocks, at, channel, eps, CHANNELS: tl.constexpr, BLOCK: tl.constexpr, BLOCKS: tl.constexpr, STEP: tl.constexpr
):  # fmt: skip
    """Reduce over the channels of blocks `at`, `at + STEP`, ... of a tuple that holds 0 beyond the last channel."""
    total = tl.sum(blocks[at], axis=1)
    for n in tl.static_range(1, BLOCKS):
        total += tl.sum(blocks[at + n * STEP], axis=1)
    mean = total / CHANNELS
    squares = tl.zeros_like(mean)
    for n in tl.static_range(BLOCKS):
        centred = tl.where((channel + n * BLOCK < CHANNELS)[None, :], blocks[at + n * STEP] - mean[:, None], 0.0)
        squares += tl.sum(centred * centred, axis=1)
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

    sums = ()  # block-major, then rows
    for n in tl.static_range(BLOCKS):
        ch = channel + n * BLOCK
        rows = convolve(
            x_ptr + offset + n * BLOCK, taps_ptr, column, ch, top, height, width, CHANNELS, KERNEL, BAND, ROWS
        )
        bias = tl.zeros((1, BLOCK), tl.float32)
        if bias_ptr is not None:
            bias += load_parameter(bias_ptr, ch, CHANNELS)
        for o in tl.static_range(ROWS):
            sums = sums + (rows[o] + bias,)

    tops = top + tl.zeros((1, 1), tl.int32)
    for o in tl.static_range(ROWS):
        row = tops + o
        mean, rstd = _mean_and_rstd(sums, o, channel, eps, CHANNELS, BLOCK, BLOCKS, ROWS)
        for n in tl.static_range(BLOCKS):
            ch = channel + n * BLOCK
            mask = (at < columns)[:, None] & (ch < CHANNELS)[None, :] & (row < height)
            offsets = offset + n * BLOCK + row.to(tl.int64) * width * CHANNELS
            scale = load_parameter(norm_weight_ptr, ch, CHANNELS)
            shift = load_parameter(norm_bias_ptr, ch, CHANNELS)
            value = sums[n * ROWS + o]
            if convolution_ptr is not None:
                tl.store(convolution_ptr + offsets, value.to(y_ptr.dtype.element_ty), mask)
            y = (value - mean[:, None]) * rstd[:, None] * scale + shift
            tl.store(y_ptr + offsets, y.to(y_ptr.dtype.element_ty), mask)


@triton.jit
def _norm_gradient(
    dy_ptr, convolution_ptr, norm_weight_ptr, gradient_ptr, sums_ptr, positions, tiles, tiles_per_program, eps,
    CHANNELS: tl.constexpr, POSITIONS: tl.constexpr, BLOCK: tl.constexpr, BLOCKS: tl.constexpr,
):  # fmt: skip
    """With n the normalised convolution and g = dy * norm_weight: (g - mean(g) - n * mean(g * n)) / deviation.

    Sums of dy * n and dy over a slice of the positions, for the norm's weight and bias, go to `sums[slice]`.
    """
    slice_index = tl.program_id(0)
    channel = tl.arange(0, BLOCK)
    scales = ()
    for n in tl.static_range(BLOCKS):
        scales = scales + (load_parameter(norm_weight_ptr, channel + n * BLOCK, CHANNELS),)
    sums = ()  # dy * n for each block, then dy
    for _ in tl.static_range(2 * BLOCKS):
        sums = sums + (tl.zeros((POSITIONS, BLOCK), tl.float32),)
    for tile in range(slice_index * tiles_per_program, tl.minimum((slice_index + 1) * tiles_per_program, tiles)):
        at = tile * POSITIONS + tl.arange(0, POSITIONS)
        offset = at.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        values = ()
        dys = ()
        for n in tl.static_range(BLOCKS):
            mask = (at < positions)[:, None] & (channel + n * BLOCK < CHANNELS)[None, :]
            values = values + (tl.load(convolution_ptr + offset + n * BLOCK, mask, other=0.0).to(tl.float32),)
            dys = dys + (tl.load(dy_ptr + offset + n * BLOCK, mask, other=0.0).to(tl.float32),)
        mean, rstd = _mean_and_rstd(values, 0, channel, eps, CHANNELS, BLOCK, BLOCKS, 1)

        mean_g = tl.zeros_like(mean)
        mean_gn = tl.zeros_like(mean)
        normed = ()
        for n in tl.static_range(BLOCKS):
            normed = normed + ((values[n] - mean[:, None]) * rstd[:, None],)
            mean_g += tl.sum(dys[n] * scales[n], axis=1)
            mean_gn += tl.sum(dys[n] * scales[n] * normed[n], axis=1)
        mean_g = mean_g / CHANNELS
        mean_gn = mean_gn / CHANNELS
        updated = ()
        for n in tl.static_range(BLOCKS):
            ch = channel + n * BLOCK
            gradient = (dys[n] * scales[n] - mean_g[:, None] - normed[n] * mean_gn[:, None]) * rstd[:, None]
            mask = (at < positions)[:, None] & (ch < CHANNELS)[None, :]
            tl.store(gradient_ptr + offset + n * BLOCK, gradient.to(gradient_ptr.dtype.element_ty), mask)
            updated = updated + (sums[n] + dys[n] * normed[n],)
        for n in tl.static_range(BLOCKS):
            updated = updated + (sums[BLOCKS + n] + dys[n],)
        sums = updated

    for n in tl.static_range(2 * BLOCKS):
        ch = channel + n % BLOCKS * BLOCK
        offsets = sums_ptr + (slice_index * 2 + n // BLOCKS) * CHANNELS + ch
        tl.store(offsets, tl.sum(sums[n], axis=0), ch < CHANNELS)
