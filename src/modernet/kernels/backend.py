"""Which path an operation takes: plain PyTorch or its Triton kernel."""

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
"""`reference`: plain PyTorch. `triton`: the kernel, or an error. `auto`: the kernel where it was measured to win."""


@dataclass(frozen=True)
class Measured:
    """One comparison of a kernel with plain PyTorch, both timed in turns in one run.

    Attributes:
        kernel: name of the operation's folder.
        device: name of the device, as torch gives it.
        dtype: of the activation: `"bfloat16"`.
        shape: what the operation says of its problem: `(channels, kernel_size)` for a depthwise convolution.
        positions: of the activation, `b * h * w`.
        training: whether a forward and backward pass was timed, or a forward pass alone.
        ratio_low: speed against plain PyTorch, lower end of the 95 % interval; above 1 the kernel wins.
    """

    kernel: str
    device: str
    dtype: str
    shape: tuple[int, ...]
    positions: int
    training: bool
    ratio_low: float


def use_triton(kernel: str, backend: Backend, x: Tensor, shape: tuple[int, ...], *, training: bool) -> bool:
    """Whether an operation runs as its Triton kernel.

    Args:
        kernel: name of the operation's folder.
        backend: what the caller asked for. While a network is exported, the answer is always plain PyTorch.
        x: the activation: its device, dtype and number of positions count. A kernel that won with some number of
            positions is taken for as many and for more; for fewer it was not measured.
        shape: the numbers that the measurements of this operation are listed by, channels first.
        training: whether a backward pass will follow.

    Raises:
        InputError: the backend has no such name, or Triton cannot run here.
    """
    if backend not in get_args(Backend):
        raise InputError(f"backend is {backend!r}; give {', '.join(get_args(Backend))}")
    if backend == "reference" or torch.compiler.is_exporting():
        return False
    if backend == "auto":
        if x.device.type != "cuda":
            return False
        device, dtype = _device_name(x.device.index or 0), str(x.dtype).removeprefix("torch.")
        return x.numel() // shape[0] >= _wins_from(_key(kernel, device, dtype, shape, training))
    if find_spec("triton") is None:
        raise InputError("backend='triton' needs the package triton, which is not installed: use backend='auto'")
    if x.device.type != "cuda" and os.environ.get("TRITON_INTERPRET") != "1":
        raise InputError(
            f"backend='triton' needs a CUDA device, and this tensor is on {x.device.type!r}: use backend='auto', "
            "or set TRITON_INTERPRET=1 to test the kernel slowly on the CPU"
        )
    return True


def set_measured(table: Sequence[Measured]) -> None:
    """Decide by these measurements from now on, in this process, instead of those that the package carries."""
    _fewest.clear()
    for m in sorted(table, key=lambda m: m.positions):
        key = _key(m.kernel, m.device, m.dtype, m.shape, m.training)
        if m.ratio_low <= 1.0:  # it lost, so what it won with fewer positions does not count for more
            _fewest.pop(key, None)
        else:
            _fewest.setdefault(key, m.positions)


def read_measured() -> list[Measured]:
    """The measurements that the package carries in `measured.json`; `benchmarks/gpu_session.py` writes it."""
    text = files("modernet.kernels").joinpath("measured.json").read_text(encoding="utf-8")
    return [Measured(**{**row, "shape": tuple(row["shape"])}) for row in json.loads(text)]


_fewest: dict[str, int] = {}
"""The fewest positions from which on a kernel wins."""


def _key(kernel: str, device: str, dtype: str, shape: tuple[int, ...], training: bool) -> str:
    # number by number: so compiling for any size makes of the sizes in it what they are this time
    return f"{kernel} {device} {dtype} {' '.join(f'{n}' for n in shape)} {training}"


@constant_when_compiled
def _wins_from(key: str) -> int:
    return _fewest.get(key, sys.maxsize)


@constant_when_compiled
def _device_name(index: int) -> str:
    return torch.cuda.get_device_name(index)


set_measured(read_measured())
