"""Parameters and multiply-accumulates of a network, counted on the meta device: no memory, no time, any size."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from modernet.errors import InputError
from modernet.preparation import ImageSize, as_size


@dataclass(frozen=True)
class Counts:
    """Parameters, and multiply-accumulates for one image."""

    params: int
    macs: int


def count(network: nn.Module, image_size: ImageSize, in_chans: int = 3) -> Counts:
    """Count the parameters of a network and its multiply-accumulates for one image.

    Counted as in the papers of the field: convolutions and matrix products. Norms, activations, biases, sums and
    pooling are not. The network is not changed; for the counts alone, build it under `torch.device("meta")`.

    Args:
        network: any module that takes images `(1, in_chans, h, w)`, of this library or not.
        image_size: side of the image in pixels, or `(h, w)`.
        in_chans: channels of the image.

    Raises:
        InputError: the image is too small for the network.
    """
    with FlopCounterMode(display=False) as flops:
        check_image_size(network, image_size, in_chans)
    return Counts(params=sum(p.numel() for p in network.parameters()), macs=flops.get_total_flops() // 2)


def count_macs(network: nn.Module, inputs: Sequence[torch.Tensor]) -> int:
    """Count the multiply-accumulates of a forward pass, as `count`; Fourier transforms are not counted either.

    Args:
        network: any module; it is not changed.
        inputs: its arguments, on the meta device.

    Raises:
        Exception: whatever a network raises that does not run without values.
    """
    meta = on_meta(network).requires_grad_(False)
    with FlopCounterMode(display=False) as flops, torch.no_grad():
        meta(*inputs)
    return int(flops.get_total_flops()) // 2


def check_image_size(network: nn.Module, image_size: ImageSize, in_chans: int = 3) -> None:
    """Run a network on an image without values; arguments as of `count`, of which it is the quick part.

    Raises:
        InputError: the image is too small for the network.
    """
    image = meta_images(image_size, in_chans)
    try:
        with torch.no_grad():
            on_meta(network)(image)
    except RuntimeError as error:
        height, width = image.shape[2:]
        raise InputError(
            f"images of {height}x{width} are too small for this network; give a larger --image-size, "
            "or a smaller stem_stride where the network has one"
        ) from error


def on_meta(network: nn.Module) -> Any:
    """Return a copy of a network in evaluation mode whose tensors have shapes but no values."""
    # deepcopy treats what is in `memo` as copied, so no weight is copied in memory first
    memo: dict[int, Any] = {id(b): b.to("meta") for b in network.buffers()}
    memo |= {id(p): nn.Parameter(p.detach().to("meta"), p.requires_grad) for p in network.parameters()}
    return copy.deepcopy(network, memo).eval()


def meta_images(image_size: ImageSize, in_chans: int, batch: int = 1) -> torch.Tensor:
    """Return images `(batch, in_chans, h, w)` without values."""
    height, width = as_size(image_size)
    if min(height, width) < 1:
        raise InputError(f"image_size is {image_size}; give the side of an image in pixels, 1 or more")
    return torch.empty(batch, in_chans, height, width, device="meta")
