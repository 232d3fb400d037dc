"""GELU and global response normalisation in Triton.

Forward and backward have the same structure: a kernel that sums over the positions of each image, a little arithmetic
with one number per channel and image, and a kernel that passes over the activation once more. Sums take two stages
without atomics: each program sums its slice of an image, then the slices are added in a fixed order.

With N the norm, M its mean over channels, r = N / (M + eps) the ratio in y = gamma h r + beta + h, and g the gradient
of y:

    S = sum of g h over positions                           gradient of gamma: sum of r S over images
    the gradient of r is gamma S, so
    gradient of N = (gamma S - mean over channels of (gamma S r)) / (M + eps)
    gradient of h = g (1 + gamma r) + h (gradient of N) / N
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from modernet.kernels.gelu import gelu, gelu_and_slope
from modernet.kernels.launch import OPTIONS


class Blocks(NamedTuple):
    """Partition of the work.

    Attributes:
        positions, channels: tile size, powers of two.
        tiles: tiles per program of the summing kernels.
        num_warps: warps per program.
    """

    positions: int = 32
    channels: int = 128
    tiles: int = 8
    num_warps: int = 4


BLOCKS = Blocks()
"""Rows of 256 bytes in bfloat16; an image of 56 x 56 has 13 slices. Not tuned on a GPU yet."""


@triton.jit
def _image_and_channels(channels, BLOCK_CHANNELS: tl.constexpr):
    """Return the image and channels of a program; programs adjacent in the grid are adjacent in memory."""
    across = tl.cdiv(channels, BLOCK_CHANNELS)
    channel = (tl.program_id(0) % across) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    return (tl.program_id(0) // across).to(tl.int64), channel


@triton.jit
def _norm_kernel(
    x, squares, positions, channels,
    BLOCK_POSITIONS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    image, channel = _image_and_channels(channels, BLOCK_CHANNELS)
    slice_index = tl.program_id(1)
    total = tl.zeros((BLOCK_CHANNELS,), tl.float32)
    for tile in range(TILES):
        position = (slice_index * TILES + tile) * BLOCK_POSITIONS + tl.arange(0, BLOCK_POSITIONS)
        mask = (position < positions)[:, None] & (channel < channels)[None, :]
        offsets = (image * positions + position)[:, None] * channels + channel[None, :]
        h = gelu(tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32))
        total += tl.sum(h * h, 0)
    tl.store(squares + (image * tl.num_programs(1) + slice_index) * channels + channel, total, mask=channel < channels)


@triton.jit
def _forward_kernel(
    x, factor, beta, y, positions, channels, BLOCK_POSITIONS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr
):
    image, channel = _image_and_channels(channels, BLOCK_CHANNELS)
    position = tl.program_id(1) * BLOCK_POSITIONS + tl.arange(0, BLOCK_POSITIONS)
    inside = channel < channels
    mask = (position < positions)[:, None] & inside[None, :]
    offsets = (image * positions + position)[:, None] * channels + channel[None, :]
    h = gelu(tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32))
    f = tl.load(factor + image * channels + channel, mask=inside, other=0.0)
    b = tl.load(beta + channel, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + offsets, (h * f[None, :] + b[None, :]).to(y.dtype.element_ty), mask=mask)


@triton.jit
def _sums_kernel(
    grad, x, sums, grad_h_sums, positions, channels,
    BLOCK_POSITIONS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    image, channel = _image_and_channels(channels, BLOCK_CHANNELS)
    slice_index = tl.program_id(1)
    total = tl.zeros((BLOCK_CHANNELS,), tl.float32)
    grad_h_total = tl.zeros((BLOCK_CHANNELS,), tl.float32)
    for tile in range(TILES):
        position = (slice_index * TILES + tile) * BLOCK_POSITIONS + tl.arange(0, BLOCK_POSITIONS)
        mask = (position < positions)[:, None] & (channel < channels)[None, :]
        offsets = (image * positions + position)[:, None] * channels + channel[None, :]
        g = tl.load(grad + offsets, mask=mask, other=0.0).to(tl.float32)
        h = gelu(tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32))
        total += tl.sum(g, 0)
        grad_h_total += tl.sum(g * h, 0)
    offsets = (image * tl.num_programs(1) + slice_index) * channels + channel
    tl.store(sums + offsets, total, mask=channel < channels)
    tl.store(grad_h_sums + offsets, grad_h_total, mask=channel < channels)


@triton.jit
def _backward_kernel(
    grad, x, factor, pull, grad_x, positions, channels,
    BLOCK_POSITIONS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    image, channel = _image_and_channels(channels, BLOCK_CHANNELS)
    position = tl.program_id(1) * BLOCK_POSITIONS + tl.arange(0, BLOCK_POSITIONS)
    inside = channel < channels
    mask = (position < positions)[:, None] & inside[None, :]
    offsets = (image * positions + position)[:, None] * channels + channel[None, :]
    g = tl.load(grad + offsets, mask=mask, other=0.0).to(tl.float32)
    h, slope = gelu_and_slope(tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32))
    f = tl.load(factor + image * channels + channel, mask=inside, other=0.0)
    p = tl.load(pull + image * channels + channel, mask=inside, other=0.0)
    result = (g * f[None, :] + h * p[None, :]) * slope
    tl.store(grad_x + offsets, result.to(grad_x.dtype.element_ty), mask=mask)


def forward(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, blocks: Blocks = BLOCKS) -> tuple[Tensor, Tensor]:
    """Return the result, and the norm `(b, c)` in float32."""
    x = x.contiguous()
    b, h, w, c = x.shape
    y = torch.empty_like(x, dtype=torch.promote_types(x.dtype, gamma.dtype))
    if not x.numel():
        return y, x.new_zeros((b, c), dtype=torch.float32)
    tile_args, summed, applied = _grids(x, blocks)
    squares = x.new_empty((b, summed[1], c), dtype=torch.float32)
    _norm_kernel[summed](x, squares, h * w, c, **tile_args, TILES=blocks.tiles)
    norm = squares.sum(1).sqrt_()
    factor = gamma.view(1, c) * _ratio(norm, eps) + 1.0
    _forward_kernel[applied](x, factor, beta, y, h * w, c, **tile_args)
    return y, norm


def backward(
    grad: Tensor, x: Tensor, gamma: Tensor, norm: Tensor, eps: float, blocks: Blocks = BLOCKS
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the gradients of `x`, gamma and beta."""
    grad, x = grad.contiguous(), x.contiguous()
    b, h, w, c = x.shape
    grad_x = torch.empty_like(x)
    if not x.numel():
        return grad_x, torch.zeros_like(gamma), torch.zeros_like(gamma)
    tile_args, summed, applied = _grids(x, blocks)
    sums = x.new_empty((b, summed[1], c), dtype=torch.float32)
    grad_h_sums = torch.empty_like(sums)
    _sums_kernel[summed](grad, x, sums, grad_h_sums, h * w, c, **tile_args, TILES=blocks.tiles)
    grad_h = grad_h_sums.sum(1)
    ratio = _ratio(norm, eps)
    grad_ratio = gamma.view(1, c).float() * grad_h
    grad_norm = (grad_ratio - (grad_ratio * ratio).mean(1, keepdim=True)) / (norm.mean(1, keepdim=True) + eps)
    pull = torch.where(norm > 0, grad_norm / norm, 0.0)  # no gradient through the norm of an all-zero channel
    factor = gamma.view(1, c) * ratio + 1.0
    _backward_kernel[applied](grad, x, factor, pull, grad_x, h * w, c, **tile_args)
    grad_gamma = (grad_h * ratio).sum(0).view_as(gamma).to(gamma.dtype)
    return grad_x, grad_gamma, sums.sum((0, 1)).view_as(gamma).to(gamma.dtype)


def _ratio(norm: Tensor, eps: float) -> Tensor:
    return norm / (norm.mean(1, keepdim=True) + eps)


def _grids(x: Tensor, blocks: Blocks) -> tuple[dict[str, Any], tuple[int, int], tuple[int, int]]:
    """Return the tile arguments, the grid of the summing kernels, and the grid of those with one tile per program."""
    b, h, w, c = x.shape
    tiles = triton.cdiv(h * w, blocks.positions)
    across = b * triton.cdiv(c, blocks.channels)
    tile_args = {
        "BLOCK_POSITIONS": blocks.positions, "BLOCK_CHANNELS": blocks.channels, "num_warps": blocks.num_warps, **OPTIONS
    }  # fmt: skip
    return tile_args, (across, triton.cdiv(tiles, blocks.tiles)), (across, tiles)


def gelu_grn_triton(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> Tensor:
    """See `modernet.kernels.gelu_grn`."""
    y: Tensor = _operator(x, gamma, beta, eps)[0]
    return y


@torch.library.custom_op("modernet::gelu_grn", mutates_args=())
def _operator(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    with torch.cuda.device_of(x):
        return forward(x, gamma, beta, eps)


@_operator.register_fake
def _(x: Tensor, gamma: Tensor, beta: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    y = x.new_empty(x.shape, dtype=torch.promote_types(x.dtype, gamma.dtype))
    return y, x.new_empty((x.shape[0], x.shape[3]), dtype=torch.float32)


@torch.library.custom_op("modernet::gelu_grn_backward", mutates_args=())
def _backward_operator(
    grad: Tensor, x: Tensor, gamma: Tensor, norm: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    with torch.cuda.device_of(x):
        return backward(grad, x, gamma, norm, eps)


@_backward_operator.register_fake
def _(grad: Tensor, x: Tensor, gamma: Tensor, norm: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    return x.new_empty(x.shape), gamma.new_empty(gamma.shape), gamma.new_empty(gamma.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    x, gamma, _, ctx.eps = inputs
    ctx.save_for_backward(x, gamma, output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 4
    return (*_backward_operator(grad, *ctx.saved_tensors, ctx.eps), None)


_operator.register_autograd(_backward, setup_context=_setup_context)
