from __future__ import annotations

import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from modernet.data import open_dataset
from modernet.data.sources.cifar import read_cifar
from modernet.errors import InputError


def batch(n: int, seed: int) -> tuple[np.ndarray, list[int]]:
    generator = np.random.default_rng(seed)
    return generator.integers(0, 256, (n, 3072), dtype=np.uint8), [i % 10 for i in range(n)]


class _Python2(pickle._Pickler):
    """Writes bytes as Python 2 wrote its strings, as in the files that CIFAR's authors publish."""

    dispatch = dict(pickle._Pickler.dispatch)  # noqa: RUF012 - as pickle spells it

    def save_bytes(self, text: bytes) -> None:
        self.write(b"T" + len(text).to_bytes(4, "little") + text)

    dispatch[bytes] = save_bytes


def write_python(folder: Path, name: str, content: object) -> None:
    file = io.BytesIO()
    _Python2(file, protocol=2).dump(content)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(file.getvalue().replace(b"numpy._core", b"numpy.core"))


def write_batches(folder: Path, binary: bool = False, test: bool = True) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for seed, name in enumerate(["data_batch_1", "data_batch_2", *(["test_batch"] if test else [])]):
        pixels, labels = batch(50, seed)
        if binary:
            records = np.concatenate([np.array(labels, np.uint8)[:, None], pixels], 1)
            records.tofile(folder / f"{name}.bin")
        else:
            write_python(folder, name, {b"data": pixels, b"labels": labels, b"batch_label": b"one"})


@pytest.mark.parametrize("binary", [False, True])
def test_both_versions_are_read_in_order_of_batches(tmp_path: Path, binary: bool) -> None:
    write_batches(tmp_path, binary)
    source = read_cifar(tmp_path)
    assert source.classes[:2] == ("airplane", "automobile")
    assert (len(source.train), len(source.test)) == (100, 50)
    assert source.train.labels.tolist() == [i % 10 for i in range(100)]
    pixels, _ = batch(50, 1)
    expected = torch.from_numpy(pixels[3].reshape(3, 32, 32))
    assert torch.equal(source.train.images.read(53), expected)


@pytest.mark.parametrize(
    ("folder", "binary"), [("", False), ("cifar-10-batches-py", False), ("cifar-10-batches-bin", True)]
)
def test_a_folder_of_batches_is_recognised(tmp_path: Path, folder: str, binary: bool) -> None:
    write_batches(tmp_path / folder, binary)
    dataset = open_dataset(str(tmp_path))
    assert len(dataset.train) + len(dataset.validation) == 100
    assert (dataset.image_size, len(dataset.test)) == (32, 50)


def test_without_a_test_batch_the_rest_is_split_in_three(tmp_path: Path) -> None:
    write_batches(tmp_path, test=False)
    dataset = open_dataset(str(tmp_path))
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 100
    assert len(dataset.train) == pytest.approx(80, abs=10)


class _Attack:
    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (self.folder,)


def test_a_pickle_that_would_run_code_is_refused_without_running_it(tmp_path: Path) -> None:
    content = pickle.dumps({b"data": _Attack(str(tmp_path / "hacked")), b"labels": [0]})
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(InputError, match=r"data_batch_1 is not a batch of CIFAR-10: it loads posix.mkdir"):
        read_cifar(tmp_path)
    assert not (tmp_path / "hacked").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"torn", "data_batch_1 is not a batch of CIFAR-10: .*; fetch it again from its authors"),
        (pickle.dumps([1, 2]), "data_batch_1 is not a batch of CIFAR-10"),
        (pickle.dumps({b"data": [1], b"labels": [0]}), "its data is not an array of bytes"),
        (
            pickle.dumps({b"data": np.zeros((2, 7), np.uint8), b"labels": [0, 1]}, protocol=4),
            r"has pixels of shape \(2, 7\) and 2 labels; CIFAR-10 has n x 3072",
        ),
        (
            pickle.dumps({b"data": np.zeros((2, 3072), np.uint8), b"labels": [0, 10]}, protocol=4),
            "has labels from 0 to 10; CIFAR-10's are 0 to 9",
        ),
    ],
)
def test_other_files_are_explained(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "data_batch_1").write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        read_cifar(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_binary_batch_of_the_wrong_length_is_refused(tmp_path: Path) -> None:
    (tmp_path / "data_batch_1.bin").write_bytes(bytes(3074))
    with pytest.raises(InputError, match=r"has 3074 bytes, not a multiple of 3073; fetch it again"):
        read_cifar(tmp_path)
