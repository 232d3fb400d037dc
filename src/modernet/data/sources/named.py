"""Data sets by name: fetched once into the cache folder, with torchvision's addresses and checksums."""

from __future__ import annotations

import tarfile
import tempfile
from pathlib import Path

from modernet.data.sources.cifar import read_cifar
from modernet.data.sources.examples import Source
from modernet.data.sources.idx import read_idx
from modernet.errors import InputError, one_line
from modernet.files.cache import cache_folder
from modernet.progress import say

NAMES = ("cifar10", "fashion_mnist", "mnist")


def read_named(name: str, download: bool) -> Source:
    """Read a data set by name, one of `NAMES`.

    Args:
        download: whether it may be fetched if it is not cached.

    Raises:
        InputError: it is neither cached nor can be fetched; the message says which file to put where.
    """
    # imported here: torchvision takes longer than the rest of modernet.data
    from torchvision.datasets import CIFAR10, MNIST, FashionMNIST

    folder = cache_folder() / name
    if name == "cifar10":
        batches = folder / CIFAR10.base_folder
        if not batches.is_dir():
            archive = _fetch(folder, [CIFAR10.url], CIFAR10.filename, CIFAR10.tgz_md5, download)
            _unpack(archive, batches)
        return read_cifar(batches)
    family = {"mnist": MNIST, "fashion_mnist": FashionMNIST}[name]
    for filename, md5 in family.resources:
        _fetch(folder, [f"{mirror}{filename}" for mirror in family.mirrors], filename, md5, download)
    return read_idx(folder, tuple(FashionMNIST.classes) if name == "fashion_mnist" else None)


def _fetch(folder: Path, addresses: list[str], filename: str, md5: str, download: bool) -> Path:
    """Return a file of the cache, downloaded from one of the addresses unless it is complete."""
    from torchvision.datasets.utils import check_integrity, download_url

    file = folder / filename
    if check_integrity(str(file), md5):
        return file
    reason = "downloading is switched off"
    for address in addresses if download else []:
        say(f"fetching {address}")
        try:
            download_url(address, str(folder), filename, md5)
        except (OSError, RuntimeError) as error:  # no network, or another checksum
            reason = one_line(error)
        else:
            return file
    raise InputError(
        f"{folder.name} is not in the cache and cannot be fetched ({reason}); put {filename} from {addresses[-1]} "
        f"into {folder}, or give the folder of a copy"
    )


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack the only folder of an archive to `folder`, completely or not at all."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished, tarfile.open(archive) as tar:
        tar.extractall(unfinished, filter="data")
        Path(unfinished, folder.name).rename(folder)
