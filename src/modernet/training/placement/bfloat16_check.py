"""bfloat16 on a CPU: convolutions whose gradients torch computes wrongly, found before a run begins.

With torch 2.15.0 and channels_last memory, gradients of convolutions on very small feature maps can be off by orders of
magnitude, depending on the processor (docs/log.md). Contiguous memory was right wherever channels_last was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from modernet.errors import InputError

_SIDES, _BATCH = (1, 2), 4
_MOST = 0.1
"""Largest relative error of a gradient; rounding to bfloat16 gives a hundredth."""


def avoid_wrong_gradients(network: nn.Module, *, compiled: bool) -> str:
    """Let the convolutions with wrong gradients in channels_last compute in contiguous memory.

    Every kind of convolution in the network is tried on tiny feature maps against float32, in milliseconds where the
    processor has arithmetic for bfloat16.

    Args:
        network: on the CPU; changed in place.
        compiled: whether the compiler will choose the layout instead.

    Returns:
        One line on what was changed; empty if nothing was.

    Raises:
        InputError: the gradients are wrong in contiguous memory too, or the network is compiled.
    """
    kinds = {_kind(layer): layer for _, layer in _convolutions(network)}
    wrong = {kind for kind, layer in kinds.items() if not _is_right(layer, torch.channels_last)}
    layers = [(name, layer) for name, layer in _convolutions(network) if _kind(layer) in wrong]
    if not layers:
        return ""
    what = f"torch {torch.__version__} computes wrong gradients of {layers[0][0]} in bfloat16 on this processor"
    if not all(_is_right(kinds[kind], torch.contiguous_format) for kind in wrong):
        raise InputError(f"{what}; give --precision fp32")
    if compiled:
        raise InputError(f"{what} in channels_last memory; give --precision fp32, or leave out --compile")
    for _, layer in layers:
        layer.weight.data = layer.weight.data.clone(memory_format=torch.contiguous_format)
        layer.register_forward_pre_hook(_contiguous)
    more = f" and {len(layers) - 1} more layers" if len(layers) > 1 else ""
    return f"{what}{more} in channels_last memory, which they therefore do without"


def _convolutions(network: nn.Module) -> Iterator[tuple[str, nn.Conv2d]]:
    return ((name, layer) for name, layer in network.named_modules() if isinstance(layer, nn.Conv2d))


def _kind(layer: nn.Conv2d) -> tuple[Any, ...]:
    return layer.weight.shape, layer.stride, layer.padding, layer.dilation, layer.groups


def _is_right(layer: nn.Conv2d, memory_format: torch.memory_format) -> bool:
    """Return whether the gradients of input and weight in bfloat16 are those in float32, on tiny feature maps."""
    for side in _SIDES:
        expected = _gradients(layer, side, torch.float32, torch.contiguous_format)
        found = _gradients(layer, side, torch.bfloat16, memory_format)
        if not all(float((f - e).norm()) <= _MOST * float(e.norm()) for f, e in zip(found, expected, strict=True)):
            return False
    return True


def _gradients(layer: nn.Conv2d, side: int, dtype: torch.dtype, memory_format: torch.memory_format) -> list[Tensor]:
    """Return the gradients of input and weight for random numbers, with a feature map of about `side` pixels."""
    generator = torch.Generator().manual_seed(0)  # the global one belongs to the run

    def noise(shape: tuple[int, ...]) -> Tensor:
        values = torch.randn(shape, generator=generator).bfloat16()
        return values.to(dtype, memory_format=memory_format, copy=True)

    padding = (0, 0) if isinstance(layer.padding, str) else layer.padding
    height, width = (
        max(1, (side - 1) * stride + dilation * (size - 1) + 1 - 2 * pad)
        for stride, dilation, size, pad in zip(layer.stride, layer.dilation, layer.kernel_size, padding, strict=True)
    )
    x = noise((_BATCH, layer.in_channels, height, width)).requires_grad_()
    weight = noise(tuple(layer.weight.shape)).requires_grad_()
    y = F.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    return [gradient.float() for gradient in torch.autograd.grad(y, (x, weight), noise(tuple(y.shape)))]


def _contiguous(layer: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    # a clone, as one pixel is contiguous in both layouts, and torch then goes by its strides
    return (inputs[0].clone(memory_format=torch.contiguous_format),)
