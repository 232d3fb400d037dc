"""The type in which boxes and scores are computed, whatever the network computes in."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_float32(x: Tensor) -> Tensor:
    """Return float32 for half precision, in which a coordinate of an image is off by pixels; other types stay."""
    return x.to(torch.promote_types(x.dtype, torch.float32))
