"""Read a safetensors file."""

from __future__ import annotations

from pathlib import Path

from safetensors.torch import load, load_file
from torch import Tensor


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """Return the tensors of a file, mapped into memory where its path is UTF-8: the library opens no other.

    Raises:
        SafetensorError, OSError: the file is damaged or missing.
    """
    try:
        str(path).encode()
    except UnicodeEncodeError:
        return load(path.read_bytes())
    return load_file(path)
