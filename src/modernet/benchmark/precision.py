"""Whether float32 numbers are multiplied as they are, or rounded to TF32 first."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def set_tf32(allowed: bool) -> None:
    """Let matrix products and convolutions of float32 numbers run on a GPU's TF32 units, or not.

    By default torch rounds in convolutions and not in matrix products, which is neither of what people compare.
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def precision_kept(device: torch.device) -> Iterator[None]:
    """Set back what `set_tf32` changed in here."""
    if device.type != "cuda":
        yield
        return
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]
