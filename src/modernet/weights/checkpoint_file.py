"""Read named tensors from untrusted files; no code in them is ever run."""

from __future__ import annotations

import argparse
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from modernet.errors import InputError, one_line

_WRAPPERS = ("state_dict_ema", "model_ema", "state_dict", "model_state", "model", "module", "network")
"""Keys under which training scripts save weights; averaged weights first."""
_LARGEST_HEADER = 100_000_000  # bytes; safetensors' own limit
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_HARMLESS: list[Any] = [
    argparse.Namespace,  # options that training scripts save with the weights
    np.dtype,
    type(np.dtype(np.float64)),
    type(np.dtype(np.int64)),
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
]


@dataclass(frozen=True)
class CheckpointFile:
    """The tensors of a file, under their stored names."""

    path: Path
    tensors: dict[str, Tensor]
    found_under: str
    """Key of the tensors in the file, such as `"model_ema"`; empty if they are at the top level."""


def read_foreign_weights(path: Path) -> CheckpointFile:
    """Read a `.safetensors` file or a PyTorch checkpoint, recognised by its content.

    Raises:
        InputError: the file is missing, damaged, has no tensors, or would run code when opened.
    """
    try:
        with path.open("rb") as file:
            start = file.read(512)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; give a file of weights") from error
    if not start:
        raise InputError(f"{path} is empty; fetch it again")
    if start.startswith(b"version https://git-lfs"):
        raise InputError(f"{path} is a Git LFS pointer, not the weights; run git lfs pull in its repository")
    if start.lstrip().startswith(b"<"):
        raise InputError(f"{path} is a web page, not weights; fetch the file itself")
    if start[8:9] == b"{" or path.suffix == ".safetensors":
        return CheckpointFile(path, _read_safetensors(path, start), "")
    content = _read_pickle(path)
    tensors, found_under = _unwrap(content)
    if not tensors:
        keys = ", ".join(map(str, list(content)[:5])) if isinstance(content, Mapping) else type(content).__name__
        raise InputError(f"{path} has no weights, only {keys}; give a file with a state dict")
    return CheckpointFile(path, tensors, found_under)


def _read_safetensors(path: Path, start: bytes) -> dict[str, Tensor]:
    length = int.from_bytes(start[:8], "little")
    if length > _LARGEST_HEADER and int.from_bytes(start[:8], "big") < path.stat().st_size:
        raise InputError(
            f"{path} stores the length of its header big-endian; safetensors is little-endian: write it again with the "
            "safetensors library"
        )
    try:
        return load_file(path)
    except (SafetensorError, OSError, ValueError, KeyError) as error:
        raise InputError(f"{path} is not a complete safetensors file ({_reason(error)}); fetch it again") from error


def _read_pickle(path: Path) -> Any:
    try:
        with torch.serialization.safe_globals(_HARMLESS), warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about the pickle protocol
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        blocked = re.search(r"(?:Unsupported global: GLOBAL|Can only [^`]*) `?([\w.]+)", str(error))
        if blocked is None and "Unsupported" not in str(error):
            raise _incomplete(path, error) from error
        what = blocked.group(1) if blocked else "code"
        raise InputError(
            f"{path} was not opened: reading it would run {what}; if you trust it, open it with torch.load yourself "
            "and save its state dict as safetensors"
        ) from error
    except Exception as error:  # on other files the unpickler raises anything
        raise _incomplete(path, error) from error


def _incomplete(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} is not a complete PyTorch checkpoint ({_reason(error)}); fetch it again")


def _reason(error: Exception) -> str:
    return one_line(error).partition(". ")[0].rstrip(".")  # torch's second sentence advises to run the file's code


def _unwrap(content: Any) -> tuple[dict[str, Tensor], str]:
    """Return the tensors of a checkpoint and the key under which they were found."""
    if not isinstance(content, Mapping):
        return {}, ""
    for wrapper in _WRAPPERS:
        inner = content.get(wrapper)
        if isinstance(inner, Mapping):
            tensors, under = _unwrap(inner)
            if tensors:
                return tensors, f"{wrapper}.{under}" if under else wrapper
    return {str(name): value for name, value in content.items() if isinstance(value, Tensor)}, ""
