"""LayerNorm over channels in Triton, for both memory formats: a map is a strided `(images, positions, channels)`.

A program holds a tile of positions with all channels in registers, so mean and variance need no second read. In
channels-last memory the whole batch counts as one image; in contiguous memory adjacent elements are positions, and a
tile has at least 16 of them.

The gradients of weight and bias are reductions over all positions, in two stages and without atomics, so they are
deterministic: a fixed number of programs sum their tiles, then their sums are added.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from modernet.errors import InputError
from modernet.kernels.launch import OPTIONS

MAX_CHANNELS = 8192
"""Limit, since all channels of a position are in registers at once."""


class Blocks(NamedTuple):
    """Partition of the work.

    Attributes:
        positions: positions per tile, a power of two.
        num_warps: warps per program.
        num_programs: programs of the backward pass, each with its own sums for the gradients of weight and bias.
    """

    positions: int
    num_warps: int
    num_programs: int

    @classmethod
    def of(cls, channels: int, channels_last: bool) -> Blocks:
        """Tiles of 4096 elements, 32 per thread; 4 programs for each of the 132 multiprocessors of an H100 or H200.

        Not tuned on a GPU yet.
        """
        width = triton.next_power_of_2(channels)
        positions = max(4096 // width, 1 if channels_last else 16)
        num_warps = min(max(positions * width // 1024, 4), 16)
        return cls(positions, num_warps, 528)


class _Layout(NamedTuple):
    """Shape and strides of a tensor as `(images, positions, channels)`."""

    images: int
    positions: int
    channels: int
    stride_image: int
    stride_position: int
    stride_channel: int

    @classmethod
    def of(cls, x: Tensor, channels_dim: int) -> _Layout:
        if channels_dim == -1 or x.is_contiguous(memory_format=torch.channels_last):
            channels = x.shape[channels_dim]
            return cls(1, x.numel() // channels, channels, 0, channels, 1)
        images, channels, height, width = x.shape
        positions = height * width
        return cls(images, positions, channels, channels * positions, 1, positions)


@triton.jit
def _tile_offsets(
    tile, positions, stride_image, stride_position, stride_channel, BLOCK: tl.constexpr, WIDTH: tl.constexpr
):
    """Return a tile's positions, indexed across images, a mask of those that exist, and their memory offsets."""
    tiles_per_image = tl.cdiv(positions, BLOCK)
    image = (tile // tiles_per_image).to(tl.int64)
    position = (tile % tiles_per_image).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    channel = tl.arange(0, WIDTH)
    start = image * stride_image + position * stride_position
    return image * positions + position, position < positions, start[:, None] + channel[None, :] * stride_channel


@triton.jit
def _forward_kernel(
    x, weight, bias, y, mean, rstd, eps, positions, stride_image, stride_position, stride_channel,
    CHANNELS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row, exists, offsets = _tile_offsets(
        tl.program_id(0), positions, stride_image, stride_position, stride_channel, BLOCK, WIDTH
    )
    channel = tl.arange(0, WIDTH)
    inside = channel < CHANNELS
    mask = exists[:, None] & inside[None, :]
    value = tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32)
    average = tl.sum(value, 1) / CHANNELS
    centred = tl.where(inside[None, :], value - average[:, None], 0.0)
    scale = 1.0 / tl.sqrt(tl.sum(centred * centred, 1) / CHANNELS + eps)
    w = tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32)
    b = tl.load(bias + channel, mask=inside, other=0.0).to(tl.float32)
    result = centred * scale[:, None] * w[None, :] + b[None, :]
    tl.store(y + offsets, result.to(y.dtype.element_ty), mask=mask)
    tl.store(mean + row, average, mask=exists)
    tl.store(rstd + row, scale, mask=exists)


@triton.jit
def _backward_kernel(
    grad, x, weight, mean, rstd, grad_x, weight_sums, bias_sums,
    tiles, positions, stride_image, stride_position, stride_channel,
    CHANNELS: tl.constexpr, WIDTH: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    program = tl.program_id(0)
    channel = tl.arange(0, WIDTH)
    inside = channel < CHANNELS
    w = tl.load(weight + channel, mask=inside, other=0.0).to(tl.float32)
    weight_sum = tl.zeros((WIDTH,), tl.float32)
    bias_sum = tl.zeros((WIDTH,), tl.float32)
    for tile in range(program, tiles, tl.num_programs(0)):
        row, exists, offsets = _tile_offsets(
            tile, positions, stride_image, stride_position, stride_channel, BLOCK, WIDTH
        )
        mask = exists[:, None] & inside[None, :]
        g = tl.load(grad + offsets, mask=mask, other=0.0).to(tl.float32)
        value = tl.load(x + offsets, mask=mask, other=0.0).to(tl.float32)
        average = tl.load(mean + row, mask=exists, other=0.0)
        scale = tl.load(rstd + row, mask=exists, other=0.0)
        normal = tl.where(mask, (value - average[:, None]) * scale[:, None], 0.0)
        weight_sum += tl.sum(g * normal, 0)
        bias_sum += tl.sum(g, 0)
        # mean and variance remove the components of g*w along the constant and along x
        g *= w[None, :]
        along_constant = tl.sum(g, 1) / CHANNELS
        along_x = tl.sum(g * normal, 1) / CHANNELS
        result = (g - along_constant[:, None] - normal * along_x[:, None]) * scale[:, None]
        tl.store(grad_x + offsets, result.to(grad_x.dtype.element_ty), mask=mask)
    tl.store(weight_sums + program * CHANNELS + channel, weight_sum, mask=inside)
    tl.store(bias_sums + program * CHANNELS + channel, bias_sum, mask=inside)


def forward(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, channels_dim: int, dtype: torch.dtype,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the result in `dtype`, and per position the mean and 1 / standard deviation, `(b*h*w,)`, float32."""
    x = _dense(x, channels_dim)
    layout = _Layout.of(x, channels_dim)
    blocks = blocks or Blocks.of(layout.channels, layout.stride_channel == 1)
    y = torch.empty_like(x, dtype=dtype)
    mean = x.new_empty(layout.images * layout.positions, dtype=torch.float32)
    rstd = torch.empty_like(mean)
    grid = (layout.images * triton.cdiv(layout.positions, blocks.positions),)
    if x.numel():
        _forward_kernel[grid](
            x, weight.contiguous(), bias.contiguous(), y, mean, rstd, eps, layout.positions, *layout[3:],
            CHANNELS=layout.channels, WIDTH=triton.next_power_of_2(layout.channels), BLOCK=blocks.positions,
            num_warps=blocks.num_warps, **OPTIONS,
        )  # fmt: skip
    return y, mean, rstd


def backward(
    grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, channels_dim: int,
    blocks: Blocks | None = None,
) -> tuple[Tensor, Tensor, Tensor]:  # fmt: skip
    """Return the gradients of `x`, weight and bias, the last two in the weight's dtype."""
    x = _dense(x, channels_dim)
    layout = _Layout.of(x, channels_dim)
    if grad.stride() != x.stride():
        grad = torch.empty_like(x, dtype=grad.dtype).copy_(grad)
    blocks = blocks or Blocks.of(layout.channels, layout.stride_channel == 1)
    grad_x = torch.empty_like(x)
    tiles = layout.images * triton.cdiv(layout.positions, blocks.positions)
    num_programs = min(tiles, blocks.num_programs)
    weight_sums = x.new_empty((num_programs, layout.channels), dtype=torch.float32)
    bias_sums = torch.empty_like(weight_sums)
    if x.numel():
        _backward_kernel[(num_programs,)](
            grad, x, weight.contiguous(), mean, rstd, grad_x, weight_sums, bias_sums,
            tiles, layout.positions, *layout[3:],
            CHANNELS=layout.channels, WIDTH=triton.next_power_of_2(layout.channels), BLOCK=blocks.positions,
            num_warps=blocks.num_warps, **OPTIONS,
        )  # fmt: skip
    return grad_x, weight_sums.sum(0).to(weight.dtype), bias_sums.sum(0).to(weight.dtype)


def layer_norm_triton(x: Tensor, weight: Tensor, bias: Tensor, eps: float, channels_dim: int) -> Tensor:
    """See `modernet.kernels.layer_norm`."""
    channels = weight.shape[0]
    if channels > MAX_CHANNELS:
        raise InputError(f"{channels} channels; the Triton kernel takes at most {MAX_CHANNELS}: use backend='auto'")
    # as F.layer_norm, which CUDA autocast runs in float32; the kernel reads half precision and writes float32
    use_float32 = x.device.type == "cuda" and torch.is_autocast_enabled("cuda")
    dtype = torch.float32 if use_float32 else x.dtype
    y: Tensor = _operator(x, weight, bias, eps, channels_dim, dtype)[0]
    return y


@torch.library.custom_op("modernet::layer_norm", mutates_args=())
def _operator(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, channels_dim: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    with torch.cuda.device_of(x):
        return forward(x, weight, bias, eps, channels_dim, dtype)


@_operator.register_fake
def _(
    x: Tensor, weight: Tensor, bias: Tensor, eps: float, channels_dim: int, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    x = _dense(x, channels_dim)
    rows = x.numel() // weight.shape[0]
    y = torch.empty_like(x, dtype=dtype)
    return y, x.new_empty(rows, dtype=torch.float32), x.new_empty(rows, dtype=torch.float32)


@torch.library.custom_op("modernet::layer_norm_backward", mutates_args=())
def _backward_operator(
    grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, channels_dim: int
) -> tuple[Tensor, Tensor, Tensor]:
    with torch.cuda.device_of(x):
        return backward(grad, x, weight, mean, rstd, channels_dim)


@_backward_operator.register_fake
def _(
    grad: Tensor, x: Tensor, weight: Tensor, mean: Tensor, rstd: Tensor, channels_dim: int
) -> tuple[Tensor, Tensor, Tensor]:
    return torch.empty_like(_dense(x, channels_dim)), weight.new_empty(weight.shape), weight.new_empty(weight.shape)


def _setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor, Tensor]) -> None:
    x, weight, _, _, ctx.channels_dim, _ = inputs
    ctx.save_for_backward(x, weight, *output[1:])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, grad: Tensor | None, *_: None) -> tuple[Tensor | None, ...]:
    if grad is None:
        return (None,) * 6
    return (*_backward_operator(grad, *ctx.saved_tensors, ctx.channels_dim), None, None, None)


_operator.register_autograd(_backward, setup_context=_setup_context)


def _dense(x: Tensor, channels_dim: int) -> Tensor:
    """Return `x` if it has one of the two supported memory formats, else a contiguous copy."""
    if channels_dim == 1 and x.is_contiguous(memory_format=torch.channels_last):
        return x
    return x.contiguous()
