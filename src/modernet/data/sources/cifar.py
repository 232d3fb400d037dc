"""CIFAR-10 as its authors publish it, in the python and in the binary version (cs.toronto.edu/~kriz/cifar.html)."""

from __future__ import annotations

import io
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data.images.collection import DecodedImages
from modernet.data.sources.examples import Examples, Source, labelled
from modernet.errors import InputError, one_line

_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_TRAIN = tuple(f"data_batch_{number}" for number in range(1, 6))
_PIXELS = 3 * 32 * 32

Read = Callable[[Path], tuple[NDArray[np.uint8], NDArray[np.int64]]]


def has_cifar(path: Path) -> bool:
    return (path / _TRAIN[0]).is_file() or (path / f"{_TRAIN[0]}.bin").is_file()


def read_cifar(path: Path) -> Source:
    """Read `data_batch_1` ... `data_batch_5` (as many as there are) and `test_batch`, or the same with `.bin`.

    The batches of the python version are pickles, which may run any code; only arrays and plain values are accepted.

    Raises:
        InputError: a batch is damaged, or holds something else.
    """
    suffix, read = ("", _read_pickle) if (path / _TRAIN[0]).is_file() else (".bin", _read_binary)
    batches = [file for name in _TRAIN if (file := path / f"{name}{suffix}").is_file()]
    test = path / f"test_batch{suffix}"
    return Source(
        path, _CLASSES, _read_split(batches, read), test=_read_split([test], read) if test.is_file() else None
    )


def _read_split(batches: list[Path], read: Read) -> Examples:
    parts = []
    for file in batches:
        pixels, labels = read(file)
        if pixels.shape != (len(labels), _PIXELS) or not len(labels):
            raise InputError(
                f"{file} has pixels of shape {pixels.shape} and {len(labels)} labels; CIFAR-10 has n x {_PIXELS}"
            )
        if labels.min() < 0 or labels.max() >= len(_CLASSES):
            raise InputError(f"{file} has labels from {labels.min()} to {labels.max()}; CIFAR-10's are 0 to 9")
        parts.append((pixels, labels))
    images = torch.from_numpy(np.concatenate([pixels for pixels, _ in parts])).view(-1, 3, 32, 32)
    return labelled(DecodedImages(images, str(batches[0].parent)), np.concatenate([labels for _, labels in parts]))


def _read_binary(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    records = np.fromfile(file, np.uint8)
    if len(records) % (1 + _PIXELS):
        raise InputError(f"{file} has {len(records)} bytes, not a multiple of {1 + _PIXELS}; fetch it again")
    records = records.reshape(-1, 1 + _PIXELS)
    return records[:, 1:], records[:, 0].astype(np.int64)


def _read_pickle(file: Path) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    try:
        batch = _ArraysOnly(io.BytesIO(file.read_bytes()), encoding="bytes").load()
        pixels, labels = batch[b"data"], np.array(batch[b"labels"], dtype=np.int64)
    except Exception as error:  # a damaged pickle raises anything
        raise InputError(
            f"{file} is not a batch of CIFAR-10: {one_line(error)}; fetch it again from its authors"
        ) from error
    if not isinstance(pixels, np.ndarray) or pixels.dtype != np.uint8 or labels.ndim != 1:
        raise InputError(
            f"{file} is not a batch of CIFAR-10: its data is not an array of bytes; fetch it again from its authors"
        )
    return pixels, labels


class _ArraysOnly(pickle.Unpickler):
    """An unpickler that can make numpy arrays and plain values, and nothing else.

    Plain values need no global; an array needs these three, under the old and the new name of numpy's module.
    """

    _ALLOWED = {  # noqa: RUF012 - never changed
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    }

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in self._ALLOWED:
            self._refuse(f"it loads {module}.{name}, which no array needs")
        return self._ALLOWED[module, name]

    def persistent_load(self, pid: object) -> NoReturn:
        self._refuse("it refers to external objects")

    @staticmethod
    def _refuse(reason: str) -> NoReturn:
        raise pickle.UnpicklingError(reason)
