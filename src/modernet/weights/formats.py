"""Name the format of a file that holds no PyTorch weights, and the way from it to some."""

from __future__ import annotations

import re
import tarfile
import zipfile
from pathlib import Path

_SOURCE = "give the PyTorch or safetensors file that it was made from"
_UNPACK = "unpack it, and give the file of weights inside"
_SAVE = "save the network's state dict in the program that made it: torch.save(network.state_dict(), FILE)"
_JAX = "write its arrays as tensors into a .safetensors file, or give a PyTorch version of these weights"

_STARTS: list[tuple[bytes, str, str]] = [
    (b"version https://git-lfs", "a Git LFS pointer, not the weights", "run git lfs pull in its repository"),
    (b"<?xml", "an XML file, as OpenVINO writes", _SOURCE),
    (b"<", "a web page, not weights", "fetch the file itself"),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes", "give PyTorch or safetensors weights of the network"),
    (b"\x93NUMPY", "a NumPy array (.npy)", _JAX),
    (b"GGUF", "a GGUF file", "give the unquantised PyTorch or safetensors weights"),
    (b"model_checkpoint_path", "the index of TensorFlow checkpoints", "give PyTorch or safetensors weights"),
    (b"MATLAB", "a MATLAB file", "give PyTorch or safetensors weights of the network"),
    (b"\x1f\x8b", "compressed by gzip", _UNPACK),
    (b"BZh", "compressed by bzip2", _UNPACK),
    (b"\xfd7zXZ\x00", "compressed by xz", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "compressed by zstd", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (b"Rar!", "a rar archive", _UNPACK),
]
_SUFFIXES: list[tuple[str, str, str]] = [
    (r"\.onnx$", "an ONNX model", _SOURCE),
    (r"\.tflite$", "a TensorFlow Lite model", _SOURCE),
    (r"\.msgpack$", "a Flax file (msgpack)", _JAX),
    (
        r"\.data-\d+-of-\d+$|\.ckpt\.(index|meta)$",
        "part of a TensorFlow checkpoint",
        "give PyTorch or safetensors weights",
    ),
    (r"\.pb$", "a TensorFlow graph", _SOURCE),
]
_PICKLE = b"\x80"
_TORCH_MAGIC = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
"""What follows the pickle protocol at the start of a checkpoint of PyTorch before 1.6."""


def foreign_format(path: Path, start: bytes) -> str | None:
    """Return what a file is and what to do, to follow its name in a message; None for what may be a PyTorch checkpoint.

    Args:
        start: the first 512 bytes of the file.
    """
    for magic, kind, remedy in _STARTS:
        if start.startswith(magic) or start.lstrip().startswith(magic):
            return f"is {kind}; {remedy}"
    if zipfile.is_zipfile(path):
        return _archive(path)
    if start[4:8] == b"TFL3":
        return f"is a TensorFlow Lite model; {_SOURCE}"
    if start[:1] == b"{":
        return "is a JSON file, which has no weights; give the file of weights beside it"
    if start[:1] == _PICKLE:
        if start[2:].startswith(_TORCH_MAGIC) and not tarfile.is_tarfile(path):
            return None
        return f"is a plain pickle, not one of PyTorch; {_SAVE}"
    if tarfile.is_tarfile(path):
        return f"is a tar archive; {_UNPACK}"
    for pattern, kind, remedy in _SUFFIXES:
        if re.search(pattern, path.name):
            return f"is {kind}; {remedy}"
    # protocol buffers: field 1, the version of the format, then the name of the program or the graph
    if start[:1] == b"\x08" and start[2:3] in (b"\x12", b"\x1a", b"\x22", b"\x3a"):
        return f"is an ONNX model; {_SOURCE}"
    return None


def is_checkpoint(start: bytes) -> bool:
    """Return whether a file begins as PyTorch's checkpoints do: a zip file, or an early one's pickle."""
    return start.startswith(b"PK") or start[2:].startswith(_TORCH_MAGIC)


def _archive(path: Path) -> str | None:
    """As `foreign_format`, for a zip file: many formats are one."""
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
    except (zipfile.BadZipFile, NotImplementedError, ValueError):
        return "is a damaged zip file; fetch it again"
    ends = {name.rpartition("/")[2] for name in names}
    if "constants.pkl" in ends:
        return f"is a TorchScript program, not weights; {_SAVE}"
    if "serialized_exported_program.json" in ends or "archive_format" in ends:
        return f"is a program of torch.export, not weights; {_SAVE}"
    if "data.pkl" in ends:
        return None
    if "model.weights.h5" in ends:
        return "is a Keras file; give PyTorch or safetensors weights of the network"
    if names and all(name.endswith(".npy") for name in names):
        return f"is a NumPy archive (.npz), as JAX's releases use; {_JAX}"
    return f"is a zip archive; {_UNPACK}"
