"""Parameters and multiply-accumulates of a network, counted on the meta device: no memory, no time, any size."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from modernet.errors import InputError


@dataclass(frozen=True)
class Counts:
    """Parameters, and multiply-accumulates for one image."""

    params: int
    macs: int


def count(network: nn.Module, image_size: int, in_chans: int = 3) -> Counts:
    """Count the parameters of a network and its multiply-accumulates for one square image.

    Counted as the papers of the field do: convolutions and matrix products. Norms, activations, biases, sums and
    pooling are not. The network is left as it is; for its counts alone, make it under `torch.device("meta")`.

    Args:
        network: any module that takes `(1, in_chans, image_size, image_size)`, of this library or not.
        image_size: side of the image in pixels.
        in_chans: channels of the image.

    Raises:
        InputError: the image is too small for the network.
    """
    image = meta_image(image_size, in_chans)
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as flops:
            on_meta(network)(image)
    except RuntimeError as error:
        raise InputError(
            f"images of {image_size}x{image_size} are too small for this network; give a larger --image-size, "
            "or a smaller stem_stride where the network has one"
        ) from error
    return Counts(params=sum(p.numel() for p in network.parameters()), macs=flops.get_total_flops() // 2)


def on_meta(network: nn.Module) -> Any:
    """A copy of a network in evaluation mode whose tensors have shapes and no values."""
    # deepcopy takes what `memo` already holds as copied, so that no weight is copied in memory first
    memo: dict[int, Any] = {id(b): b.to("meta") for b in network.buffers()}
    memo |= {id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in network.parameters()}
    return copy.deepcopy(network, memo).eval()


def meta_image(image_size: int, in_chans: int) -> torch.Tensor:
    """One image of the shape `(1, in_chans, image_size, image_size)` without values."""
    if image_size < 1:
        raise InputError(f"image_size is {image_size}; give the side of an image in pixels, 1 or more")
    return torch.empty(1, in_chans, image_size, image_size, device="meta")
