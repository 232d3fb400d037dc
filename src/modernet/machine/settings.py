"""Settings of torch that affect speed on a GPU: TF32, and cuDNN's choice of algorithms."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


def set_tf32(allowed: bool) -> None:
    """Allow or forbid TF32 in float32 matrix products and convolutions on a GPU.

    By default torch allows it in convolutions only, which is neither of the two settings that people compare.
    """
    torch.set_float32_matmul_precision("high" if allowed else "highest")
    torch.backends.cudnn.allow_tf32 = allowed


@contextmanager
def gpu_settings(device: torch.device) -> Iterator[None]:
    """Inside, cuDNN benchmarks its algorithms while networks warm up; all settings are restored afterwards."""
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
