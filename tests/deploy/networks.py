"""Networks whose norms and layer scales are not at their initial values."""

from __future__ import annotations

import torch
from torch import Tensor, nn


def randomised(network: nn.Module) -> nn.Module:
    """Randomise norms, biases and layer scales in place, and return the network in evaluation mode."""
    generator = torch.Generator().manual_seed(0)
    for name, tensor in network.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(tensor, 0.5, 1.5, generator=generator)
        elif tensor.ndim <= 1 and tensor.is_floating_point():
            tensor.add_(torch.empty_like(tensor).uniform_(0.2, 0.8, generator=generator))
    return network.eval()


def images(size: int, channels: int = 3, batch: int = 2) -> Tensor:
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(1))


@torch.no_grad()
def relative_error(actual: Tensor, expected: Tensor) -> float:
    return float((actual.to(expected.dtype) - expected).abs().max() / expected.abs().max())
