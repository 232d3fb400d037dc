"""The number of parameters of networks that only their maker can build."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def count_parameters(build: Callable[[], nn.Module]) -> int:
    """Return the number of parameters of a network that is built for it, without touching torch's generator."""
    with torch.random.fork_rng(devices=[]):
        return sum(parameter.numel() for parameter in build().parameters())
