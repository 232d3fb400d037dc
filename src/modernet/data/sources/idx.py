"""IDX files, plain or gzipped: LeCun's format of MNIST and its relatives."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from modernet.data.images.collection import DecodedImages
from modernet.data.sources.examples import Examples, Source, labelled
from modernet.errors import InputError

_IMAGES, _LABELS = "images-idx3-ubyte", "labels-idx1-ubyte"
_SPELLINGS = ("{}-{}", "{}-{}.gz")


def has_idx(path: Path) -> bool:
    return _find(path, "train", _IMAGES) is not None


def read_idx(path: Path, classes: tuple[str, ...] | None = None) -> Source:
    """Read `train-images-idx3-ubyte` and `train-labels-idx1-ubyte`; `t10k-...` is the test split.

    Args:
        classes: their names, which the files do not have; None names them 0, 1, ...

    Raises:
        InputError: a file is missing, damaged or of another kind, or images and labels differ in number.
    """
    train = _read_split(path, "train")
    if classes is None:
        classes = tuple(str(label) for label in range(int(train.labels.max()) + 1))
    test = None if _find(path, "t10k", _IMAGES) is None else _read_split(path, "t10k")
    for split in (train, test):
        if split is not None and split.labels.max() >= len(classes):
            raise InputError(f"{path} has the label {split.labels.max()}, but only {len(classes)} classes")
    return Source(path, classes, train, test=test)


def _read_split(path: Path, prefix: str) -> Examples:
    image_file, label_file = _find(path, prefix, _IMAGES), _find(path, prefix, _LABELS)
    if image_file is None or label_file is None:
        missing = _IMAGES if image_file is None else _LABELS
        raise InputError(f"there is no {prefix}-{missing} (or .gz) in {path}; add it")
    images, labels = _read_array(image_file, ndim=3), _read_array(label_file, ndim=1)
    if len(images) != len(labels) or not len(labels):
        raise InputError(f"{image_file} has {len(images)} images, but {label_file.name} has {len(labels)} labels")
    return labelled(DecodedImages(torch.from_numpy(images), str(image_file)), labels.astype(np.int64))


def _read_array(file: Path, ndim: int) -> NDArray[np.uint8]:
    """An array of unsigned bytes: two zero bytes, type 8, the number of dimensions, the dimensions (big-endian), the
    bytes.
    """
    try:
        data = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"cannot read {file}: {error}; fetch it again") from error
    start = 4 + 4 * ndim
    if len(data) < start or data[:4] != bytes((0, 0, 8, ndim)):
        raise InputError(f"{file} is not an IDX file of bytes with {ndim} dimension{'s' * (ndim > 1)}; fetch it again")
    shape = tuple(int(size) for size in np.frombuffer(data, ">u4", ndim, 4))
    expected = start + int(np.prod(shape, dtype=object))
    if len(data) != expected:
        raise InputError(f"{file} has {len(data)} bytes, but its header says {expected}; fetch it again")
    return np.frombuffer(bytearray(data), np.uint8, offset=start).reshape(shape)  # bytearray: writable, as torch wants


def _find(path: Path, prefix: str, kind: str) -> Path | None:
    candidates = (path / spelling.format(prefix, kind) for spelling in _SPELLINGS)
    return next((file for file in candidates if file.is_file()), None)
