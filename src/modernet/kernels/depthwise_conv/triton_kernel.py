"""The depthwise convolution in Triton: forward, and the gradient of its weights. That of its input is a forward pass.

Memory is channels-last, so that one load brings 8 neighbouring channels (16 bytes of bfloat16) of one position to a
thread. What limits such a kernel on a GPU is not memory but instructions: every value read has to be unpacked to
float32, and would be read and unpacked k * k times. So a thread keeps the sums of several rows of outputs in registers
and walks over the columns of the kernel: for one of them it holds the taps of all kernel rows, and every value that
it then reads serves up to k output rows.

    for shift in columns of the kernel:                     a program: `rows` x `columns` positions, `channels`
        taps = kernel[:, shift]                              reads of x for each output: k (rows + k - 1) / rows
        for row in rows + k - 1 rows of x:
            value = x[row, column + shift - k // 2]
            for every output row within reach of it:         no loop: unrolled, sums and taps are registers
                sums[output row] += value * taps[row - output row]

Columns are counted through the images of a batch (`image * width + column`), so a block of columns has no waste on
narrow maps. Kernels above 9 x 9 are cut into bands of rows, since their taps would not fit in registers; bands that see
nothing but padding are left out, which is half of the work of 31 x 31 kernels on 14 x 14 maps.
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
from torch.nn import functional as F

from modernet.kernels.launch import OPTIONS

WEIGHT_GRADIENT_REGISTERS = 128
"""A thread's, at most, so that a processor of 65,536 registers takes two programs of eight warps."""

WEIGHT_GRADIENT_PROGRAMS = 1056
"""Programs that share the weight's gradient: four rounds on a GPU of 132 processors that takes two each. A constant,
so that the order of the sum, and with it the result, does not depend on the device."""


@dataclass(frozen=True)
class Tile:
    """What one program works on.

    Attributes:
        rows: output rows, whose sums are held in registers.
        columns: columns, counted through the batch; a power of two.
        channels: a power of two.
        band: rows of the kernel whose taps are held at once.
        num_warps: groups of 32 threads.
    """

    rows: int
    columns: int
    channels: int
    band: int
    num_warps: int


def even_rows(height: int, at_most: int) -> int:
    """Rows a program such that strips of that many cover `height` with the least waste: 8 for 56, 7 for 28, 14, 7."""
    return int(triton.cdiv(height, triton.cdiv(height, at_most)))


def even_band(kernel_size: int, at_most: int) -> int:
    """Kernel rows in a band: all of them if there are no more, else as even as can be: 7 for 13, 8 for 31."""
    return int(triton.cdiv(kernel_size, triton.cdiv(kernel_size, at_most)))


def forward_tile(channels: int, kernel_size: int, height: int) -> Tile:
    """32 channels are 64 bytes of bfloat16, two sectors; 32 columns of them give each of 128 threads one position."""
    block = min(32, max(16, triton.next_power_of_2(channels)))
    return Tile(even_rows(height, 8), 1024 // block, block, even_band(kernel_size, 9), 4)


def weight_gradient_tile(channels: int, kernel_size: int, height: int) -> Tile:
    """As `forward_tile`; `columns` for each of the kernel's columns that `num_warps` warps take side by side."""
    block = min(32, max(16, triton.next_power_of_2(channels)))
    return Tile(even_rows(height, 4), 256 // block, block, even_band(kernel_size, 7), 4 if kernel_size <= 3 else 8)


def taps_of(weight: Tensor, band: int) -> Tensor:
    """`(c, 1, k, k)` as `(k * k, c)`: a tap of neighbouring channels lies together.

    No copy if it did already. Where bands are longer than the kernel, rows of zeros follow.
    """
    taps = weight.flatten(1).t().contiguous()
    size = weight.shape[-1]
    return F.pad(taps, (0, 0, 0, (-size % band) * size)) if size % band else taps


def depthwise_conv_forward(x: Tensor, weight: Tensor, bias: Tensor | None, tile: Tile | None = None) -> Tensor:
    """`(b, c, h, w)` -> the same, channels-last."""
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
    """Gradients of weight `(c, 1, k, k)` and bias `(c,)`, in float32.

    Every program sums over its share of the positions and writes that to a workspace of about
    `programs` x 32 x 64 numbers; a sum over programs follows. Nothing is added in an order that chance decides.
    """
    dy, x = (t.contiguous(memory_format=torch.channels_last) for t in (dy, x))
    batch, channels, height, width = x.shape
    if not x.numel():
        return dy.new_zeros((channels, 1, kernel_size, kernel_size)).float(), dy.new_zeros((channels,)).float()
    tile = tile or weight_gradient_tile(channels, kernel_size, height)
    shifts = tile.num_warps
    # one column more than the kernel has: there the sum for the bias grows
    bands, shift_blocks = triton.cdiv(kernel_size, tile.band), triton.cdiv(kernel_size + 1, shifts)
    blocks = triton.cdiv(channels, tile.channels)
    tiles = triton.cdiv(height, tile.rows) * triton.cdiv(batch * width, tile.columns)
    shares = min(tiles, max(1, programs // (blocks * bands * shift_blocks)))
    sums = x.new_empty((shares, bands * tile.band, shift_blocks * shifts, channels), dtype=torch.float32)
    with torch.cuda.device_of(x):
        _weight_gradient[(blocks * bands * shift_blocks * shares,)](
            dy, x, sums, batch * width, height, width, tiles, triton.cdiv(tiles, shares),
            CHANNELS=channels, KERNEL=kernel_size, BAND=tile.band, SHIFTS=shifts, SHIFT_BLOCKS=shift_blocks,
            ROWS=tile.rows, COLUMNS=tile.columns, BLOCK=tile.channels,
            num_warps=tile.num_warps, maxnreg=WEIGHT_GRADIENT_REGISTERS, **OPTIONS,
        )  # fmt: skip
    dweight = sums[:, :kernel_size, :kernel_size].sum(0).permute(2, 0, 1)[:, None]  # k k c -> c 1 k k
    return dweight.clone(memory_format=torch.contiguous_format), sums[:, 0, kernel_size].sum(0)


@triton.jit
def load_parameter(pointer, channel, CHANNELS: tl.constexpr):
    """A number for each channel, as float32 `(1, channels)`.

    There have to be fewer channels than threads: then Triton lets every thread load those that it uses, and otherwise
    it distributes them through shared memory, at the price of barriers in the innermost loop.
    """
    return tl.load(pointer + channel[None, :], (channel < CHANNELS)[None, :], other=0.0).to(tl.float32)


@triton.jit
def convolve(
    x, taps_ptr, column, channel, top, height, width,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, BAND: tl.constexpr, ROWS: tl.constexpr,
):  # fmt: skip
    """ROWS output rows from row `top` on, each a float32 tensor of columns x channels.

    Args:
        x: pointers to row 0 of the images at every column and channel.
        taps_ptr: `(rows of all bands * k, c)`, of the type of x.
        column: in its image; far outside where there is none.
        channel: those of the block.
    """
    pad: tl.constexpr = KERNEL // 2
    channel_ok = channel < CHANNELS
    sums = ()
    for _ in tl.static_range(ROWS):
        sums = sums + (tl.zeros((column.shape[0], channel.shape[0]), tl.float32),)
    tops = top + tl.zeros((1, 1), tl.int32)  # not a scalar: the interpreter wants masks to be tensors
    # the bands of kernel rows that see a row of the image from at least one of the output rows
    first = tl.maximum(pad - top - (ROWS - 1), 0) // BAND
    last = tl.minimum(height - 1 + pad - top, KERNEL - 1) // BAND
    for band in range(first, last + 1):
        for shift in range(KERNEL):
            from_column = column + (shift - pad)
            inside = ((from_column >= 0) & (from_column < width))[:, None] & channel_ok[None, :]
            taps = ()
            for i in tl.static_range(BAND):
                tap = band * BAND + i
                place = taps_ptr + (tap * KERNEL + shift) * CHANNELS + channel[None, :]
                taps = taps + (tl.load(place, channel_ok[None, :], other=0.0).to(tl.float32),)  # as `load_parameter`
            for i in tl.static_range(ROWS + BAND - 1):
                row = tops - pad + band * BAND + i
                place = x + (row.to(tl.int64) * width + (shift - pad)) * CHANNELS
                value = tl.load(place, inside & (row >= 0) & (row < height), other=0.0).to(tl.float32)
                longer = ()
                for o in tl.static_range(ROWS):
                    if i - o >= 0 and i - o < BAND:
                        longer = longer + (sums[o] + value * taps[i - o],)
                    else:
                        longer = longer + (sums[o],)
                sums = longer
    return sums


@triton.jit
def _forward(
    x_ptr, taps_ptr, bias_ptr, y_ptr, columns, height, width,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, BAND: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    # programs beside each other take the channels of one place, then the strip below: they share halos in the cache
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
    there = (at < columns)[:, None] & channel_ok[None, :]
    sums = convolve(x_ptr + offset, taps_ptr, column, channel, top, height, width, CHANNELS, KERNEL, BAND, ROWS)
    for o in tl.static_range(ROWS):
        y = sums[o]
        if bias_ptr is not None:
            y += load_parameter(bias_ptr, channel, CHANNELS)
        row = tops + o
        place = y_ptr + offset + row.to(tl.int64) * width * CHANNELS
        tl.store(place, y.to(y_ptr.dtype.element_ty), there & (row < height))


@triton.jit
def _weight_gradient(
    dy_ptr, x_ptr, sums_ptr, columns, height, width, tiles, tiles_each,
    CHANNELS: tl.constexpr, KERNEL: tl.constexpr, BAND: tl.constexpr,
    SHIFTS: tl.constexpr, SHIFT_BLOCKS: tl.constexpr,
    ROWS: tl.constexpr, COLUMNS: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    """Sums over a share of the positions of dy[row, column] * x[row + i - pad, column + shift - pad], for a band of
    kernel rows i, SHIFTS kernel columns, and BLOCK channels, written to `sums[share, i, shift, channel]`.

    Lanes are kernel columns x columns of the image, so that each kernel column is a warp's, and all of them read the
    same rows of the image through one cache. As in the forward pass a value of x serves every output row in reach.
    """
    pad: tl.constexpr = KERNEL // 2
    blocks: tl.constexpr = (CHANNELS + BLOCK - 1) // BLOCK
    bands: tl.constexpr = (KERNEL + BAND - 1) // BAND
    program = tl.program_id(0)
    channel = program % blocks * BLOCK + tl.arange(0, BLOCK)
    first_shift = program // blocks % SHIFT_BLOCKS * SHIFTS
    first_tap = program // blocks // SHIFT_BLOCKS % bands * BAND
    share = program // blocks // SHIFT_BLOCKS // bands
    channel_ok = channel < CHANNELS

    lane = tl.arange(0, SHIFTS * COLUMNS)
    shift = first_shift + lane // COLUMNS
    # behind the last column of the kernel x counts as 1, so that the gradient of the bias, the sum of dy, comes along
    outside = tl.where(shift == KERNEL, 1.0, 0.0).to(x_ptr.dtype.element_ty)[:, None]
    strips = tl.cdiv(height, ROWS)

    sums = ()
    for _ in tl.static_range(BAND):
        sums = sums + (tl.zeros((SHIFTS * COLUMNS, BLOCK), tl.float32),)
    for tile in range(share * tiles_each, tl.minimum((share + 1) * tiles_each, tiles)):
        tops = tile % strips * ROWS + tl.zeros((1, 1), tl.int32)
        at = tile // strips * COLUMNS + lane % COLUMNS
        from_column = at % width + shift - pad
        there = (at < columns)[:, None] & channel_ok[None, :]
        inside = there & ((shift < KERNEL) & (from_column >= 0) & (from_column < width))[:, None]
        position = (at // width).to(tl.int64) * height * width + at % width
        offset = position[:, None] * CHANNELS + channel[None, :]

        dy = ()
        for o in tl.static_range(ROWS):
            row = tops + o
            place = dy_ptr + offset + row.to(tl.int64) * width * CHANNELS
            dy = dy + (tl.load(place, there & (row < height), other=0.0).to(tl.float32),)
        for r in tl.static_range(ROWS + BAND - 1):
            row = tops - pad + first_tap + r
            place = x_ptr + offset + (row.to(tl.int64) * width + (shift - pad)[:, None]) * CHANNELS
            value = tl.load(place, inside & (row >= 0) & (row < height), other=outside).to(tl.float32)
            longer = ()
            for i in tl.static_range(BAND):
                if r - i >= 0 and r - i < ROWS:  # noqa: SIM108
                    longer = longer + (sums[i] + value * dy[r - i],)
                else:
                    longer = longer + (sums[i],)
            sums = longer

    shift = first_shift + tl.arange(0, SHIFTS)
    for i in tl.static_range(BAND):
        total = tl.sum(tl.reshape(sums[i], (SHIFTS, COLUMNS, BLOCK)), axis=1)
        tap = (share * bands * BAND + first_tap + i) * (SHIFT_BLOCKS * SHIFTS) + shift
        place = sums_ptr + tap.to(tl.int64)[:, None] * CHANNELS + channel[None, :]
        tl.store(place, total, channel_ok[None, :])
