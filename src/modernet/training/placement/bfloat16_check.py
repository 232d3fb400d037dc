"""bfloat16 on a CPU: convolutions whose gradients torch computes wrongly, found before a run begins.

With torch 2.15.0 and channels_last memory, gradients of convolutions on very small feature maps can be off by orders of
magnitude, depending on the processor (docs/log.md). Contiguous memory was right wherever channels_last was not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.hooks import RemovableHandle

from modernet.errors import InputError
from modernet.layers.memory_layout import compute_contiguous

Convolution: TypeAlias = nn.Conv2d | nn.ConvTranspose2d

_SIDES, _BATCH = (1, 2), 4
_MOST = 0.1
"""Largest relative error of a gradient; rounding to bfloat16 gives a hundredth."""


class Avoided(NamedTuple):
    """What `avoid_wrong_gradients` did.

    Attributes:
        line: what was changed; empty if nothing was.
        hooks: on the layers that were changed, for as long as they are trained.
    """

    line: str
    hooks: list[RemovableHandle]


def avoid_wrong_gradients(network: nn.Module, *, compiled: bool) -> Avoided:
    """Let the convolutions with wrong gradients in channels_last compute in contiguous memory.

    Every kind of convolution in the network, transposed ones too, is tried on tiny feature maps against float32, in
    milliseconds where the processor has arithmetic for bfloat16.

    Args:
        network: on the CPU; changed in place.
        compiled: whether the compiler will choose the layout instead.

    Raises:
        InputError: the gradients are wrong in contiguous memory too, or the network is compiled.
    """
    kinds = {_kind(layer): layer for _, layer in _convolutions(network)}
    wrong = {kind for kind, layer in kinds.items() if not _is_right(layer, torch.channels_last)}
    layers = [(name, layer) for name, layer in _convolutions(network) if _kind(layer) in wrong]
    if not layers:
        return Avoided("", [])
    what = f"torch {torch.__version__} computes wrong gradients of {layers[0][0]} in bfloat16 on this processor"
    if not all(_is_right(kinds[kind], torch.contiguous_format) for kind in wrong):
        raise InputError(f"{what}; give --precision fp32")
    if compiled:
        raise InputError(f"{what} in channels_last memory; give --precision fp32, or leave out --compile")
    more = f" and {len(layers) - 1} more layers" if len(layers) > 1 else ""
    return Avoided(
        f"{what}{more} in channels_last memory, which they therefore do without",
        [compute_contiguous(layer) for _, layer in layers],
    )


def _convolutions(network: nn.Module) -> Iterator[tuple[str, Convolution]]:
    return ((name, layer) for name, layer in network.named_modules() if isinstance(layer, Convolution))


def _kind(layer: Convolution) -> tuple[Any, ...]:
    geometry = layer.stride, layer.padding, layer.output_padding, layer.dilation, layer.groups
    return layer.transposed, layer.weight.shape, *geometry


def _is_right(layer: Convolution, memory_format: torch.memory_format) -> bool:
    """Return whether the gradients of input and weight in bfloat16 are those in float32, on tiny feature maps."""
    for side in _SIDES:
        expected = _gradients(layer, side, torch.float32, torch.contiguous_format)
        found = _gradients(layer, side, torch.bfloat16, memory_format)
        if not all(float((f - e).norm()) <= _MOST * float(e.norm()) for f, e in zip(found, expected, strict=True)):
            return False
    return True


def _gradients(layer: Convolution, side: int, dtype: torch.dtype, memory_format: torch.memory_format) -> list[Tensor]:
    """Return the gradients of input and weight for random numbers, with a feature map of about `side` pixels."""
    generator = torch.Generator().manual_seed(0)  # the global one belongs to the run

    def noise(shape: tuple[int, ...]) -> Tensor:
        values = torch.randn(shape, generator=generator).bfloat16()
        return values.to(dtype, memory_format=memory_format, copy=True)

    x = noise((_BATCH, layer.in_channels, *_input_size(layer, side))).requires_grad_()
    weight = noise(tuple(layer.weight.shape)).requires_grad_()
    if isinstance(layer, nn.ConvTranspose2d):
        assert not isinstance(layer.padding, str), "torch gives names to the padding of others only"
        y = F.conv_transpose2d(
            x, weight, None, layer.stride, layer.padding, layer.output_padding, layer.groups, layer.dilation
        )
    else:
        y = F.conv2d(x, weight, None, layer.stride, layer.padding, layer.dilation, layer.groups)
    return [gradient.float() for gradient in torch.autograd.grad(y, (x, weight), noise(tuple(y.shape)))]


def _input_size(layer: Convolution, side: int) -> list[int]:
    """Return height and width of an input of about `side` pixels; of what gives so many, for a strided convolution.

    The output has a pixel at least.
    """
    found = []
    padding = (0, 0) if isinstance(layer.padding, str) else layer.padding
    for axis in (0, 1):
        stride, extent = layer.stride[axis], layer.dilation[axis] * (layer.kernel_size[axis] - 1)
        if layer.transposed:
            found.append(max(side, 1 - (extent + layer.output_padding[axis] - 2 * padding[axis]) // stride))
        else:
            found.append(max(1, (side - 1) * stride + extent + 1 - 2 * padding[axis]))
    return found
