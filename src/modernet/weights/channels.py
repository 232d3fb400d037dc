"""Weights for images of another number of channels."""

from __future__ import annotations

from math import ceil

import torch
from torch import Tensor, nn


def first_convolution(network: nn.Module) -> str | None:
    """Return the name of the weight that sees the image's channels: the network's first with 4 dimensions."""
    return next((name for name, tensor in network.state_dict().items() if tensor.ndim == 4), None)


def with_channels(weight: Tensor, channels: int) -> Tensor:
    """Adapt the weight of a first convolution `(o, i, kh, kw)` to another number of input channels.

    For one channel, the sum over the file's: a grey image scores as it would with its channel in all of them. For n
    channels, the file's are repeated and scaled by i / n, so that the activations keep their size. As timm does it
    (`adapt_input_conv`).
    """
    stored = weight.shape[1]
    if channels == 1:
        return weight.sum(1, keepdim=True, dtype=torch.float32).to(weight.dtype)
    repeated = weight.repeat(1, ceil(channels / stored), 1, 1)[:, :channels]
    return (repeated.float() * (stored / channels)).to(weight.dtype)
