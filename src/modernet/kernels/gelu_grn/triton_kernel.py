"""GELU and global response normalisation as Triton kernels.

Both directions have the same form: a kernel that sums over the positions of each image, a little arithmetic with a
number a channel and image, and a kernel that goes over the activation once more. Sums have two stages and no atomics:
a program adds up the positions of its part of an image, and the parts are added up afterwards, in the same order in
every run.

With n the share, E the energy, M its mean over channels and eps in y = gamma h n + beta + h, and g the gradient of y:

    S = sum of g h over positions                           gradient of gamma: sum of n S over images
    the gradient of n is gamma S, and n = E / (M + eps), so
    gradient of E = (gamma S - mean over channels of (gamma S n)) / (M + eps)
    gradient of h = g (1 + gamma n) + h (gradient of E) / E
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
    """How the work is cut.

    Attributes:
        positions, channels: of a tile, powers of two.
        tiles: one below the other that a program of the summing kernels goes through.
        num_warps: of a program.
    """

    positions: int = 32
    channels: int = 128
    tiles: int = 8
    num_warps: int = 4


BLOCKS = Blocks()
"""Rows of 256 bytes in bfloat16; an image of 56 x 56 is 13 parts. Not swept on a GPU yet."""


@triton.jit
def _image_and_channels(channels, BLOCK_CHANNELS: tl.constexpr):
    """Which image and which channels a program has; neighbours in memory are neighbours in the grid."""
    across = tl.cdiv(channels, BLOCK_CHANNELS)
    channel = (tl.program_id(0) % across) * BLOCK_CHANNELS + tl.arange(0, BLOCK_CHANNELS)
    return (tl.program_id(0) // across).to(tl.int64), channel


@triton.jit
def _energy_kernel(
    x, squares, positions, channels,
    BLOCK_POSITIONS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    image, channel = _image_and_channels(channels, BLOCK_CHANNELS)
    part = tl.program_id(1)
    total = tl.zeros((BLOCK_CHANNELS,), tl.float32)
    for tile in range(TILES):
        position = (part * TILES + tile) * BLOCK_POSITIONS + tl.arange(0, BLOCK_POSITIONS)
        mask = (position < positions)[:, None] & (channel < channels)[None, :]
        place = (image * positions + position)[:, None] * channels + channel[None, :]
        h = gelu(tl.load(x + place, mask=mask, other=0.0).to(tl.float32))
        total += tl.sum(h * h, 0)
    tl.store(squares + (image * tl.num_programs(1) + part) * channels + channel, total, mask=channel < channels)


@triton.jit
def _forward_kernel(
    x, factor, beta, y, positions, channels, BLOCK_POSITIONS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr
):
    image, channel = _image_and_channels(channels, BLOCK_CHANNELS)
    position = tl.program_id(1) * BLOCK_POSITIONS + tl.arange(0, BLOCK_POSITIONS)
    inside = channel < channels
    mask = (position < positions)[:, None] & inside[None, :]
    place = (image * positions + position)[:, None] * channels + channel[None, :]
    h = gelu(tl.load(x + place, mask=mask, other=0.0).to(tl.float32))
    f = tl.load(factor + image * channels + channel, mask=inside, other=0.0)
    b = tl.load(beta + channel, mask=inside, other=0.0).to(tl.float32)
    tl.store(y + place, (h * f[None, :] + b[None, :]).to(y.dtype.element_ty), mask=mask)


@triton.jit
def _sums_kernel(
    grad, x, sums, grad_h_sums, positions, channels,
    BLOCK_POSITIONS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr, TILES: tl.constexpr,
):  # fmt: skip
    image, channel = _image_and_channels(channels, BLOCK_CHANNELS)
    part = tl.program_id(1)
    total = tl.zeros((BLOCK_CHANNELS,), tl.float32)
    grad_h_total = tl.zeros((BLOCK_CHANNELS,), tl.float32)
    for tile in range(TILES):
        position = (part * TILES + tile) * BLOCK_POSITIONS + tl.arange(0, BLOCK_POSITIONS)
        mask = (position < positions)[:, None] & (channel < channels)[None, :]
        place = (image * positions + position)[:, None] * channels + channel[None, :]
        g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
        h = gelu(tl.load(x + place, mask=mask, other=0.0).to(tl.float32))
        total += tl.sum(g, 0)
        grad_h_total += tl.sum(g * h, 0)
    place = (image * tl.num_programs(1) + part) * channels + channel
    tl.store(sums + place, total, mask=channel < channels)
    tl.store(grad_h_sums + place, grad_h_total, mask=channel < channels)


@triton.jit
def _backward_kernel(
    grad, x, factor, pull, grad_x, positions, channels,
    BLOCK_POSITIONS: tl.constexpr, BLOCK_CHANNELS: tl.constexpr,
):  # fmt: skip
    image, channel = _image_and_channels(channels, BLOCK_CHANNELS)
    position = tl.program_id(1) * BLOCK_POSITIONS + tl.arange(0, BLOCK_POSITIONS)
    inside = channel < channels
    mask = (position < positions)[:, None] & inside[None, :]
    place = (image * positions + position)[:, None] * channels + channel[None, :]
    g = tl.load(grad + place, mask=mask, other=0.0).to(tl.float32)
    h, slope = gelu_and_slope(tl.load(x + place, mask=mask, other=0.0).to(tl.float32))
    f = tl.load(factor + image * channels + channel, mask=inside, other=0.0)
    p = tl.load(pull + image * channels + channel, mask=inside, other=0.0)
    result = (g * f[None, :] + h * p[None, :]) * slope
    tl.store(grad_x + place, result.to(grad_x.dtype.element_ty), mask=mask)


def forward(x: Tensor, gamma: Tensor, beta: Tensor, eps: float, blocks: Blocks = BLOCKS) -> tuple[Tensor, Tensor]:
    """The result, and the energy `(b, c)` in float32."""
    x = x.contiguous()
    b, h, w, c = x.shape
    y = torch.empty_like(x, dtype=torch.promote_types(x.dtype, gamma.dtype))
    if not x.numel():
        return y, x.new_zeros((b, c), dtype=torch.float32)
    cut, summed, applied = _grids(x, blocks)
    squares = x.new_empty((b, summed[1], c), dtype=torch.float32)
    _energy_kernel[summed](x, squares, h * w, c, **cut, TILES=blocks.tiles)
    energy = squares.sum(1).sqrt_()
    factor = gamma.view(1, c) * _share(energy, eps) + 1.0
    _forward_kernel[applied](x, factor, beta, y, h * w, c, **cut)
    return y, energy


def backward(
    grad: Tensor, x: Tensor, gamma: Tensor, energy: Tensor, eps: float, blocks: Blocks = BLOCKS
) -> tuple[Tensor, Tensor, Tensor]:
    """Gradients of `x`, gamma and beta."""
    grad, x = grad.contiguous(), x.contiguous()
    b, h, w, c = x.shape
    grad_x = torch.empty_like(x)
    if not x.numel():
        return grad_x, torch.zeros_like(gamma), torch.zeros_like(gamma)
    cut, summed, applied = _grids(x, blocks)
    sums = x.new_empty((b, summed[1], c), dtype=torch.float32)
    grad_h_sums = torch.empty_like(sums)
    _sums_kernel[summed](grad, x, sums, grad_h_sums, h * w, c, **cut, TILES=blocks.tiles)
    grad_h = grad_h_sums.sum(1)
    share = _share(energy, eps)
    grad_share = gamma.view(1, c).float() * grad_h
    grad_energy = (grad_share - (grad_share * share).mean(1, keepdim=True)) / (energy.mean(1, keepdim=True) + eps)
    pull = torch.where(energy > 0, grad_energy / energy, 0.0)  # a channel that is zero everywhere stays where it is
    factor = gamma.view(1, c) * share + 1.0
    _backward_kernel[applied](grad, x, factor, pull, grad_x, h * w, c, **cut)
    grad_gamma = (grad_h * share).sum(0).view_as(gamma).to(gamma.dtype)
    return grad_x, grad_gamma, sums.sum((0, 1)).view_as(gamma).to(gamma.dtype)


def _share(energy: Tensor, eps: float) -> Tensor:
    return energy / (energy.mean(1, keepdim=True) + eps)


def _grids(x: Tensor, blocks: Blocks) -> tuple[dict[str, Any], tuple[int, int], tuple[int, int]]:
    """How tiles are cut; the grid of the kernels that sum, and of those that write a tile a program."""
    b, h, w, c = x.shape
    tiles = triton.cdiv(h * w, blocks.positions)
    across = b * triton.cdiv(c, blocks.channels)
    cut = {
        "BLOCK_POSITIONS": blocks.positions, "BLOCK_CHANNELS": blocks.channels, "num_warps": blocks.num_warps, **OPTIONS
    }  # fmt: skip
    return cut, (across, triton.cdiv(tiles, blocks.tiles)), (across, tiles)


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
    grad: Tensor, x: Tensor, gamma: Tensor, energy: Tensor, eps: float
) -> tuple[Tensor, Tensor, Tensor]:
    with torch.cuda.device_of(x):
        return backward(grad, x, gamma, energy, eps)


@_backward_operator.register_fake
def _(grad: Tensor, x: Tensor, gamma: Tensor, energy: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
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
