"""Dispatch of an operation to plain PyTorch or its Triton kernel."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from importlib.util import find_spec
from typing import Literal, get_args

import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.torch_internals import constant_when_compiled

Backend = Literal["auto", "reference", "triton"]
"""`reference`: plain PyTorch. `triton`: the kernel, or an error. `auto`: the kernel where it was measured as faster."""


@dataclass(frozen=True)
class Measured:
    """One comparison of a kernel with plain PyTorch, timed interleaved in one run.

    Attributes:
        kernel: name of the operation's folder.
        device: device name as reported by torch.
        dtype: dtype of the activation, such as `"bfloat16"`.
        shape: the operation's problem shape, such as `(channels, kernel_size)` for a depthwise convolution.
        positions: positions of the activation, `b * h * w`.
        training: True for forward and backward, False for forward only.
        ratio_low: lower end of the 95 % interval of the speedup over plain PyTorch; above 1 the kernel is faster.
    """

    kernel: str
    device: str
    dtype: str
    shape: tuple[int, ...]
    positions: int
    training: bool
    ratio_low: float


def use_triton(kernel: str, backend: Backend, x: Tensor, shape: tuple[int, ...], *, training: bool) -> bool:
    """Return whether an operation runs as its Triton kernel.

    Args:
        kernel: name of the operation's folder.
        backend: the requested backend. During export the answer is always plain PyTorch.
        x: the activation; its device, dtype and number of positions matter. A kernel that was faster for some number
            of positions is used for that number and above; below, it was not measured.
        shape: the operation's problem shape in the measurements, channels first.
        training: whether a backward pass will follow.

    Raises:
        InputError: unknown backend, or Triton cannot run here.
    """
    if backend not in get_args(Backend):
        raise InputError(f"backend is {backend!r}; give {', '.join(get_args(Backend))}")
    if backend == "reference" or torch.compiler.is_exporting():
        return False
    if backend == "auto":
        if x.device.type != "cuda":
            return False
        device, dtype = _device_name(x.device.index or 0), str(x.dtype).removeprefix("torch.")
        return x.numel() // shape[0] >= _threshold(_key(kernel, device, dtype, shape, training))
    if find_spec("triton") is None:
        raise InputError("backend='triton' needs the package triton, which is not installed: use backend='auto'")
    if x.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise InputError(
            f"backend='triton' needs a CUDA device, and this tensor is on {x.device.type!r}: use backend='auto', "
            "or set TRITON_INTERPRET=1 to test the kernel slowly on the CPU"
        )
    return True


def set_measured(table: Sequence[Measured]) -> None:
    """Replace the packaged measurements in this process."""
    _thresholds.clear()
    for m in sorted(table, key=lambda m: m.positions):
        key = _key(m.kernel, m.device, m.dtype, m.shape, m.training)
        if m.ratio_low <= 1.0:  # slower here, so wins with fewer positions do not extend to more
            _thresholds.pop(key, None)
        else:
            _thresholds.setdefault(key, m.positions)


def read_measured() -> list[Measured]:
    """Read the packaged measurements, `measured.json`, which `benchmarks/gpu_session.py` writes."""
    text = files("modernet.kernels").joinpath("measured.json").read_text(encoding="utf-8")
    return [Measured(**{**row, "shape": tuple(row["shape"])}) for row in json.loads(text)]


_thresholds: dict[str, int] = {}
"""Key -> number of positions from which the kernel is faster."""


def _key(kernel: str, device: str, dtype: str, shape: tuple[int, ...], training: bool) -> str:
    # formatting each number specialises dynamic sizes to constants under torch.compile
    return f"{kernel} {device} {dtype} {' '.join(f'{n}' for n in shape)} {training}"


@constant_when_compiled
def _threshold(key: str) -> int:
    return _thresholds.get(key, sys.maxsize)


@constant_when_compiled
def _device_name(index: int) -> str:
    return torch.cuda.get_device_name(index)


set_measured(read_measured())
