"""Depthwise convolution in Triton: forward and weight gradient. The input gradient is another forward pass.

Memory is channels-last, so that one load gives a thread 8 adjacent channels (16 bytes of bfloat16) of a position. Such
a kernel is limited not by memory but by instructions: each value must be converted to float32, naively k * k times. So
a thread accumulates several output rows in registers and iterates over kernel columns. For each column it holds the
taps of all kernel rows, and each value it loads contributes to up to k output rows.

    for shift in columns of the kernel:                     a program: `rows` x `columns` positions, `channels`
        taps = kernel[:, shift]                              reads of x for each output: k (rows + k - 1) / rows
        for row in rows + k - 1 rows of x:
            value = x[row, column + shift - k // 2]
            for every output row within reach:               unrolled; sums and taps are in registers
                sums[output row] += value * taps[row - output row]

Columns are indexed across the batch (`image * width + column`), so narrow maps still fill a block of columns. Kernels
above 9 x 9 are processed in bands of rows, since their taps would not fit in registers. Bands that only see padding are
skipped, which halves the work of 31 x 31 kernels on 14 x 14 maps.
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
from torch.nn import functional as F

from modernet.kernels.launch import OPTIONS

WEIGHT_GRADIENT_REGISTERS = 128
"""Maximum per thread, so that a multiprocessor with 65,536 registers runs two programs of eight warps."""

WEIGHT_GRADIENT_PROGRAMS = 1056
"""Programs for the weight gradient: four waves on a GPU with 132 multiprocessors and two programs each. A constant, so
that the order of summation, and thus the result, does not depend on the device."""


@dataclass(frozen=True)
class Tile:
    """The work of one program.

    Attributes:
        rows: output rows, accumulated in registers.
        columns: columns, indexed across the batch; a power of two.
        channels: channels; a power of two.
        band: kernel rows whose taps are in registers at once.
        num_warps: warps of 32 threads.
    """

    rows: int
    columns: int
    channels: int
    band: int
    num_warps: int


def even_rows(height: int, at_most: int) -> int:
    """Return the rows per program that cover `height` evenly: 8 for 56, 7 for 28, 14 and 7."""
    return int(triton.cdiv(height, triton.cdiv(height, at_most)))


def even_band(kernel_size: int, at_most: int) -> int:
    """Return the kernel rows per band, as evenly as possible: 7 for 13, 8 for 31."""
    return int(triton.cdiv(kernel_size, triton.cdiv(kernel_size, at_most)))


def forward_tile(channels: int, kernel_size: int, height: int) -> Tile:
    """32 channels are 64 bytes of bfloat16, two sectors; with 32 columns, each of 128 threads has 8 values."""
    block = min(32, max(16, triton.next_power_of_2(channels)))
    return Tile(even_rows(height, 8), 1024 // block, block, even_band(kernel_size, 9), 4)


def weight_gradient_tile(channels: int, kernel_size: int, height: int) -> Tile:
    """As `forward_tile`, with `columns` per kernel column; each of the `num_warps` warps has one kernel column."""
    block = min(32, max(16, triton.next_power_of_2(channels)))
    return Tile(even_rows(height, 4), 256 // block, block, even_band(kernel_size, 7), 4 if kernel_size <= 3 else 8)


def taps_of(weight: Tensor, band: int) -> Tensor:
    """Return a weight `(c, 1, k, k)` as `(k * k, c)`, with channels contiguous.

    Copies only if needed. Zero rows are appended to fill the last band.
    """
    taps = weight.flatten(1).t().contiguous()
    size = weight.shape[-1]
    return F.pad(taps, (0, 0, 0, (-size % band) * size)) if size % band else taps


def depthwise_conv_forward(x: Tensor, weight: Tensor, bias: Tensor | None, tile: Tile | None = None) -> Tensor:
    """Convolve `(b, c, h, w)`; the output is channels-last."""
    x = x.contiguous(memory_format=torch.channels_last)
    batch, channels, height, width = x.shape
    y = torch.empty_like(x, memory_format=torch.channels_last)
    if not y.numel():
        return y
    tile = tile or forward_tile(channels, weight.shape[-1], height)
    columns = batch * width
    blocks = triton.cdiv(channels, tile.channels)
    grid = (blocks * triton.cdiv(height, tile.rows) * triton.cdiv(columns, tile.columns),)
    with torch.cuda.device_of(x):
        _forward[grid](
            x, taps_of(weight, tile.band), bias, y, columns, height, width,
            CHANNELS=channels, KERNEL=weight.shape[-1], BAND=tile.band,
            ROWS=tile.rows, COLUMNS=tile.columns, BLOCK=tile.channels,
            num_warps=tile.num_warps, **OPTIONS,
        )  # fmt: skip
    return y


def depthwise_conv_weight_gradient(
    dy: Tensor, x: Tensor, kernel_size: int, tile: Tile | None = None, programs: int = WEIGHT_GRADIENT_PROGRAMS
) -> tuple[Tensor, Tensor]:
    """Return the gradients of weight `(c, 1, k, k)` and bias `(c,)`, in float32.

    Each program sums over its slice of the positions and writes to a workspace of about `programs` x 32 x 64 numbers,
    which is then summed over programs. The order of summation is fixed.
    """
    dy, x = (t.contiguous(memory_format=torch.channels_last) for t in (dy, x))
    batch, channels, height, width = x.shape
    if not x.numel():
        return dy.new_zeros((channels, 1, kernel_size, kernel_size)).float(), dy.new_zeros((channels,)).float()
    tile = tile or weight_gradient_tile(channels, kernel_size, height)
    shifts = tile.num_warps
    # one extra kernel column accumulates the bias gradient
    bands, shift_blocks = triton.cdiv(kernel_size, tile.band), triton.cdiv(kernel_size + 1, shifts)
    blocks = triton.cdiv(channels, tile.channels)
    tiles = triton.cdiv(height, tile.rows) * triton.cdiv(batch * width, tile.columns)
    slices = min(tiles, max(1, programs // (blocks * bands * shift_blocks)))
    sums = x.new_empty((slices, bands * tile.band, shift_blocks * shifts, channels), dtype=torch.float32)
    with torch.cuda.device_of(x):
        _weight_gradient[(blocks * bands * shift_blocks * slices,)](
            dy, x, sums, batch * width, height, width, tiles, triton.cdiv(tiles, slices),
            CHANNELS=channels, KERNEL=kernel_size, BAND=tile.band, SHIFTS=shifts, SHIFT_BLOCKS=shift_blocks,
            ROWS=tile.rows, COLUMNS=tile.columns, BLOCK=tile.channels,
            num_warps=tile.num_warps, maxnreg=WEIGHT_GRADIENT_REGISTERS, **OPTIONS,
        )  # fmt: skip
    dweight = sums[:, :kernel_size, :kernel_size].sum(0).permute(2, 0, 1)[:, None]  # k k c -> c 1 k k
    return dweight.clone(memory_format=torch.contiguous_format), sums[:, 0, kernel_size].sum(0)


@triton.jit
def load_parameter(pointer, channel, CHANNELS: tl.constexpr):
    """Load one value per channel, as float32 `(1, channels)`.

    There must be fewer channels than threads. Then Triton lets each thread load the values it uses; otherwise it
    distributes them through shared memory, with barriers in the innermost loop.
    """
    return tl.load(pointer + channel[None, :], (channel < CHANNELS)[None, :], other=0.0).to(tl.float32)


@triton.jit
def convolve(
    x, taps_ptr, column, channel, top, height, width,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, BAND: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """Compute ROWS output rows from row `top`, each a float32 tensor of columns x channels.

    Args:
        x: pointers to row 0 of the images, per column and channel.
        taps_ptr: `(rows of all bands * k, c)`, in the dtype of x.
        column: column within its image; far outside for nonexistent columns.
        channel: channels of the block.
    """
    pad: tl.constexpr = KERNEL // 2
    channel_ok = channel < CHANNELS
    sums = ()
    for _ in tl.static_range(ROWS):
        sums = sums + (tl.zeros((column.shape[0], channel.shape[0]), tl.float32),)
    tops = top + tl.zeros((1, 1), tl.int32)  # not a scalar: the interpreter requires tensor masks
    # bands of kernel rows that overlap the image for at least one output row
    first = tl.maximum(pad - top - (ROWS - 1), 0) // BAND
    last = tl.minimum(height - 1 + pad - top, KERNEL - 1) // BAND
    for band in range(first, last + 1):
        for shift in range(KERNEL):
            from_column = column + (shift - pad)
            inside = ((from_column >= 0) & (from_column < width))[:, None] & channel_ok[None, :]
            taps = ()
            for i in tl.static_range(BAND):
                tap = band * BAND + i
                pointers = taps_ptr + (tap * KERNEL + shift) * CHANNELS + channel[None, :]
                taps = taps + (tl.load(pointers, channel_ok[None, :], other=0.0).to(tl.float32),)  # as `load_parameter`
            for i in tl.static_range(ROWS + BAND - 1):
                row = tops - pad + band * BAND + i
                pointers = x + (row.to(tl.int64) * width + (shift - pad)) * CHANNELS
                value = tl.load(pointers, inside & (row >= 0) & (row < height), other=0.0).to(tl.float32)
                updated = ()
                for o in tl.static_range(ROWS):
                    if i - o >= 0 and i - o < BAND:
                        updated = updated + (sums[o] + value * taps[i - o],)
                    else:
                        updated = updated + (sums[o],)
                sums = updated
    return sums


@triton.jit
def _forward(
    x_ptr, taps_ptr, bias_ptr, y_ptr, columns, height, width,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, BAND: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    # adjacent programs process the channels of one region, then the strip below, and slice_index halos in the cache
    blocks: tl.constexpr = (CHANNELS + BLOCK - 1) // BLOCK
    strips = tl.cdiv(height, ROWS)
    program = tl.program_id(0)
    channel = program % blocks * BLOCK + tl.arange(0, BLOCK)
    top = program // blocks % strips * ROWS
    at = program // blocks // strips * COLUMNS + tl.arange(0, COLUMNS)
    channel_ok = channel < CHANNELS
    column = tl.where(at < columns, at % width, -KERNEL)
    position = (at // width).to(tl.int64) * height * width + at % width
    offset = position[:, None] * CHANNELS + channel[None, :]

    tops = top + tl.zeros((1, 1), tl.int32)
    valid = (at < columns)[:, None] & channel_ok[None, :]
    sums = convolve(x_ptr + offset, taps_ptr, column, channel, top, height, width, CHANNELS, KERNEL, BAND, ROWS)
    for o in tl.static_range(ROWS):
        y = sums[o]
        if bias_ptr is not None:
            y += load_parameter(bias_ptr, channel, CHANNELS)
        row = tops + o
        pointers = y_ptr + offset + row.to(tl.int64) * width * CHANNELS
        tl.store(pointers, y.to(y_ptr.dtype.element_ty), valid & (row < height))


@triton.jit
def _weight_gradient(
    dy_ptr, x_ptr, sums_ptr, columns, height, width, tiles, tiles_per_program,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, BAND: tl.constexpr,
    SHIFTS: tl.constexpr, SHIFT_BLOCKS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sum dy[row, column] * x[row + i - pad, column + shift - pad] over a slice of the positions, for a band of kernel
    rows i, SHIFTS kernel columns, and BLOCK channels; write to `sums[slice, i, shift, channel]`.

    Lanes are kernel columns x image columns, so that each warp has one kernel column and all warps read the same image
    rows through one cache. As in the forward pass, a value of x contributes to every output row within reach.
    """
    pad: tl.constexpr = KERNEL // 2
    blocks: tl.constexpr = (CHANNELS + BLOCK - 1) // BLOCK
    bands: tl.constexpr = (KERNEL + BAND - 1) // BAND
    program = tl.program_id(0)
    channel = program % blocks * BLOCK + tl.arange(0, BLOCK)
    first_shift = program // blocks % SHIFT_BLOCKS * SHIFTS
    first_tap = program // blocks // SHIFT_BLOCKS % bands * BAND
    slice_index = program // blocks // SHIFT_BLOCKS // bands
    channel_ok = channel < CHANNELS

    lane = tl.arange(0, SHIFTS * COLUMNS)
    shift = first_shift + lane // COLUMNS
    # beyond the last kernel column x counts as 1, which accumulates the bias gradient, the sum of dy
    outside = tl.where(shift == KERNEL, 1.0, 0.0).to(x_ptr.dtype.element_ty)[:, None]
    strips = tl.cdiv(height, ROWS)

    sums = ()
    for _ in tl.static_range(BAND):
        sums = sums + (tl.zeros((SHIFTS * COLUMNS, BLOCK), tl.float32),)
    for tile in range(slice_index * tiles_per_program, tl.minimum((slice_index + 1) * tiles_per_program, tiles)):
        tops = tile % strips * ROWS + tl.zeros((1, 1), tl.int32)
        at = tile // strips * COLUMNS + lane % COLUMNS
        from_column = at % width + shift - pad
        valid = (at < columns)[:, None] & channel_ok[None, :]
        inside = valid & ((shift < KERNEL) & (from_column >= 0) & (from_column < width))[:, None]
        position = (at // width).to(tl.int64) * height * width + at % width
        offset = position[:, None] * CHANNELS + channel[None, :]

        dy = ()
        for o in tl.static_range(ROWS):
            row = tops + o
            pointers = dy_ptr + offset + row.to(tl.int64) * width * CHANNELS
            dy = dy + (tl.load(pointers, valid & (row < height), other=0.0).to(tl.float32),)
        for r in tl.static_range(ROWS + BAND - 1):
            row = tops - pad + first_tap + r
            pointers = x_ptr + offset + (row.to(tl.int64) * width + (shift - pad)[:, None]) * CHANNELS
            value = tl.load(pointers, inside & (row >= 0) & (row < height), other=outside).to(tl.float32)
            updated = ()
            for i in tl.static_range(BAND):
                if r - i >= 0 and r - i < ROWS:
                    updated = updated + (sums[i] + value * dy[r - i],)
                else:
                    updated = updated + (sums[i],)
            sums = updated

    shift = first_shift + tl.arange(0, SHIFTS)
    for i in tl.static_range(BAND):
        total = tl.sum(tl.reshape(sums[i], (SHIFTS, COLUMNS, BLOCK)), axis=1)
        tap = (slice_index * bands * BAND + first_tap + i) * (SHIFT_BLOCKS * SHIFTS) + shift
        pointers = sums_ptr + tap.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        tl.store(pointers, total, channel_ok[None, :])
