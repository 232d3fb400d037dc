from __future__ import annotations

import hashlib
import io
import pickle
import tarfile
import urllib.error
from pathlib import Path

import numpy as np
import pytest
import torchvision.datasets
import torchvision.datasets.utils

from modernet.data import open_dataset
from modernet.errors import InputError


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("cifar10", "cifar-10-python.tar.gz"),
        ("mnist", "train-images-idx3-ubyte.gz"),
        ("fashion_mnist", "train-images-idx3-ubyte.gz"),
    ],
)
def test_without_a_network_the_message_says_which_file_to_put_where(
    cache: Path, monkeypatch: pytest.MonkeyPatch, name: str, file: str
) -> None:
    def no_network(*_: object) -> None:
        raise urllib.error.URLError("no route to host")

    monkeypatch.setattr(torchvision.datasets.utils, "download_url", no_network)
    message = (
        rf"{name} is not in the cache .*no route to host.*; put {file} from http.* into {cache / name}, or give the"
    )
    with pytest.raises(InputError, match=message) as caught:
        open_dataset(name)
    assert "\n" not in str(caught.value)


def test_nothing_is_fetched_with_download_off(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torchvision.datasets.utils, "download_url", lambda *_: pytest.fail("it was fetched"))
    with pytest.raises(InputError, match=r"downloading is switched off"):
        open_dataset("mnist", download=False)


def test_an_archive_in_the_cache_is_unpacked_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 3072), dtype=np.uint8)
    content = pickle.dumps({b"data": pixels, b"labels": [i % 10 for i in range(40)]}, protocol=4)
    archive = cache / "cifar10" / "cifar-10-python.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as tar:
        for name in ("data_batch_1", "test_batch"):
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    checksum = hashlib.md5(archive.read_bytes()).hexdigest()
    monkeypatch.setattr(torchvision.datasets.CIFAR10, "tgz_md5", checksum)
    assert len(open_dataset("cifar10", download=False).test) == 40
    archive.unlink()
    assert open_dataset("cifar10", download=False).name == "cifar10"
    assert [entry.name for entry in archive.parent.iterdir()] == ["cifar-10-batches-py"]
