"""Convolutions that a CPU has to train in contiguous memory, although the rest of the network is in channels_last."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.utils.hooks import RemovableHandle

from modernet.errors import InputError

_SAFE_CHANNELS = 16
"""Input channels from which a convolution that skips pixels is safe; as many as an AVX-512 register has numbers."""


def avoid_unsafe_layout(network: nn.Module, *, compiled: bool) -> list[RemovableHandle]:
    """Let narrow convolutions that skip pixels, such as the 1x1 ones of a shortcut, compute in contiguous memory.

    With torch 2.15.0, computing their gradients in channels_last memory is not safe on a CPU below 16 input channels
    (docs/log.md); in contiguous memory it is. To be called before training, after the network is in channels_last.

    Args:
        network: on the CPU; changed in place.
        compiled: whether the compiler will choose the layout instead.

    Returns:
        Hooks on the layers that were changed, for as long as they are trained.

    Raises:
        InputError: there are such layers, and the network is compiled.
    """
    convolutions = [(name, each) for name, each in network.named_modules() if isinstance(each, nn.Conv2d)]
    narrow = {name: each for name, each in convolutions if _is_unsafe(each)}
    if narrow and compiled:
        name, layer = next(iter(narrow.items()))
        raise InputError(
            f"{name} is a strided convolution of {layer.in_channels} channels, which torch cannot train reliably on a "
            f"CPU if it is compiled; leave out --compile, or make the network wider, so that it has {_SAFE_CHANNELS}"
        )
    return [compute_contiguous(layer) for layer in narrow.values()]


def compute_contiguous(layer: nn.Conv2d | nn.ConvTranspose2d) -> RemovableHandle:
    """Let a convolution compute in contiguous memory, whatever the layout of its input, until the hook is removed."""
    layer.weight.data = layer.weight.data.clone(memory_format=torch.contiguous_format)
    return layer.register_forward_pre_hook(_contiguous)


def _is_unsafe(layer: nn.Conv2d) -> bool:
    skips = any(stride > size for stride, size in zip(layer.stride, layer.kernel_size, strict=True))
    return skips and layer.in_channels < _SAFE_CHANNELS


def _contiguous(layer: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...]:
    # a clone, as one pixel is contiguous in both layouts, and torch then goes by its strides
    return inputs[0].clone(memory_format=torch.contiguous_format), *inputs[1:]
