"""Grey levels of corrupted images."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def truncated(values: Tensor) -> Tensor:
    """Return any float type in grey levels, which is overwritten, as uint8: clamped to [0, 255], without the fractions.

    They are not rounded, as published.
    """
    values = values.clamp_(0, 255)
    if values.device.type == "cpu":
        return torch.from_numpy(values.numpy().astype(np.uint8))  # faster than by torch
    return values.to(torch.uint8)
