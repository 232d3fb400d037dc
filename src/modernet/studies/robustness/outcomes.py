"""Which images were answered correctly, as an outcome of a unit holds it: a bit each."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor


def hits(correct: Tensor, labels: Tensor) -> dict[str, Any]:
    """Return which images were answered correctly, JSON-able, in the order of their classes: so images are in the same
    order whether they are stored in one folder or in one for each class.

    Args:
        correct: bool (n,).
        labels: int64 (n,).
    """
    bits = np.packbits(correct[labels.argsort(stable=True)].numpy())
    return {"n": len(labels), "correct": base64.b64encode(bits.tobytes()).decode()}


def read_hits(outcome: Mapping[str, Any]) -> Tensor:
    """Return what `hits` stored, bool (n,)."""
    bits = np.frombuffer(base64.b64decode(outcome["correct"]), dtype=np.uint8)
    return torch.from_numpy(np.unpackbits(bits, count=outcome["n"]).astype(bool))
