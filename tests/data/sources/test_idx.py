from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
import torch

from modernet.data import open_dataset
from modernet.data.sources.idx import read_idx
from modernet.errors import InputError


def idx(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.astype(np.uint8).tobytes()


def write(folder: Path, gzipped: bool = False, n: int = 40) -> np.ndarray:
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(0).integers(0, 256, (n, 6, 6))
    for prefix, part in (("train", slice(None)), ("t10k", slice(0, 10))):
        for kind, array in (("images-idx3", images[part]), ("labels-idx1", np.arange(n)[part] % 4)):
            name, content = f"{prefix}-{kind}-ubyte", idx(array)
            if gzipped:
                (folder / f"{name}.gz").write_bytes(gzip.compress(content))
            else:
                (folder / name).write_bytes(content)
    return images


@pytest.mark.parametrize("gzipped", [False, True])
@pytest.mark.parametrize("below", ["", "raw"])
def test_the_files_of_mnist_are_read_as_grey_images(tmp_path: Path, gzipped: bool, below: str) -> None:
    images = write(tmp_path / below, gzipped)
    dataset = open_dataset(str(tmp_path))
    assert dataset.classes == ("0", "1", "2", "3")
    assert (len(dataset.train), len(dataset.validation), len(dataset.test)) == (36, 4, 10)
    expected = torch.from_numpy(images[3]).to(torch.uint8).expand(3, 6, 6)
    assert torch.equal(dataset.test.images[3], expected)
    assert dataset.test.labels.tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0, 1]


def test_class_names_can_be_given(tmp_path: Path) -> None:
    write(tmp_path)
    assert read_idx(tmp_path, ("a", "b", "c", "d")).classes == ("a", "b", "c", "d")
    with pytest.raises(InputError, match=r"has the label 3, but only 2 classes"):
        read_idx(tmp_path, ("a", "b"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("train-labels-idx1-ubyte", None, r"there is no train-labels-idx1-ubyte \(or .gz\) in .*; add it"),
        ("train-labels-idx1-ubyte", idx(np.zeros(7)), "has 40 images, but train-labels-idx1-ubyte has 7 labels"),
        ("train-images-idx3-ubyte", idx(np.zeros((40, 6, 6)))[:-1], "has 1455 bytes, but its header says 1456"),
        ("train-images-idx3-ubyte", idx(np.zeros(40)), "is not an IDX file of bytes with 3 dimensions; fetch it again"),
        ("train-images-idx3-ubyte", b"", "is not an IDX file"),
        (
            "train-images-idx3-ubyte",
            struct.pack(">BBBB3I", 0, 0, 8, 3, *[2**32 - 1] * 3),
            "has 16 bytes, but its header says 792281",
        ),
    ],
)
def test_a_missing_or_damaged_file_is_explained(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    write(tmp_path)
    if content is None:
        (tmp_path / name).unlink()
    else:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read_idx(tmp_path)


def test_a_truncated_gzip_file_is_explained(tmp_path: Path) -> None:
    write(tmp_path, gzipped=True)
    file = tmp_path / "train-images-idx3-ubyte.gz"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(InputError, match=rf"cannot read {file}: .*; fetch it again"):
        read_idx(tmp_path)
