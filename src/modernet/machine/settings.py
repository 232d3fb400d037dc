"""Settings of torch on a GPU that decide how fast a network is: TF32, and cuDNN's choice of algorithms."""

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
def gpu_settings(device: torch.device) -> Iterator[None]:
    """In here, cuDNN tries its algorithms while networks warm up; afterwards all settings are as they were."""
    if device.type != "cuda":
        yield
        return
    cudnn = torch.backends.cudnn
    before = torch.get_float32_matmul_precision(), cudnn.allow_tf32, cudnn.benchmark
    cudnn.benchmark = True
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before[0])
        cudnn.allow_tf32, cudnn.benchmark = before[1:]
