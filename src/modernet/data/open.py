"""open_dataset: a name or a folder -> an opened data set."""

from __future__ import annotations

import difflib
from pathlib import Path

import numpy as np
import torch

from modernet.data import decoding
from modernet.data.cifar import has_cifar, read_cifar
from modernet.data.dataset import ImageDataset, InMemory, OnDisk
from modernet.data.digit_scenes import DIGITS, SplitName, make_scenes
from modernet.data.idx import has_idx, read_idx
from modernet.data.image_folder import read_image_folder
from modernet.data.named import NAMES, read_named
from modernet.data.parquet import parquet_files, read_parquet
from modernet.data.pictures import is_hidden, is_picture, skippable
from modernet.data.source import Labelled, Source
from modernet.data.splitting import three_splits
from modernet.errors import InputError, unknown_name
from modernet.progress import say

_SCENES: tuple[tuple[SplitName, int], ...] = (("train", 1536), ("validation", 300), ("test", 1000))
_SCENE_SIZE = 32
_MOST_SAID = 20  # skipped pictures that are said by name; the data set knows them all
_LAYOUTS = (
    "class folders, train/ and test/ above them, parquet files train-*.parquet, CIFAR-10 batches or MNIST's IDX files"
)

DATASET_NAMES = ("digit_scenes", *NAMES)


def open_dataset(
    spec: str,
    *,
    image_size: int | None = None,
    skip_unreadable: bool = False,
    memory_limit_mb: int = 2048,
    download: bool = True,
) -> ImageDataset:
    """Open labelled pictures.

    A folder is recognised by what it holds: an image folder (`class/picture`, or `train/`, `val/`, `test/` above it),
    parquet in the Hub's image layout, the original files of CIFAR-10 or of MNIST and its family. `three_splits` says
    where train, validation and test come from; a picture keeps its place when others are added.

    Args:
        spec: `"digit_scenes"` (embedded), `"cifar10"`, `"fashion_mnist"`, `"mnist"` (fetched into `$MODERNET_CACHE`,
            by default `~/.cache/modernet`), or the path of a folder. A folder of the same name is `"./mnist"`.
        image_size: side of the square pictures; None is what suits the pictures: their own side where all are squares
            of one size up to 256, otherwise 224, or less where most are smaller (`decoding.usual_size`). Other
            pictures are scaled by their shorter side and cut to the square in the centre.
        skip_unreadable: leave out and list what cannot be read, instead of an error; pictures on disk are all checked
            now.
        memory_limit_mb: data sets that need no more than this, decoded, are kept in memory; larger ones are read as
            they are shown.
        download: whether a name may be fetched.

    Raises:
        InputError: nothing is there, it is of no known layout, or it cannot be used; the message says why.
    """
    if image_size is not None and image_size < 2:  # torch 2.15 cannot scale a picture to one pixel
        raise InputError(f"image_size is {image_size}; give the side in pixels, at least 2, such as 224")
    if spec == "digit_scenes":
        return _digit_scenes(_SCENE_SIZE if image_size is None else image_size)
    if spec in NAMES:
        return _opened(spec, read_named(spec, download), image_size, skip_unreadable, memory_limit_mb)
    path = _existing_folder(spec)
    source = _recognised(path, memory_limit_mb)
    return _opened(path.resolve().name, source, image_size, skip_unreadable, memory_limit_mb)


def _digit_scenes(image_size: int) -> ImageDataset:
    train, validation, test = (InMemory(*make_scenes(split, n, image_size=image_size)) for split, n in _SCENES)
    mean, std = decoding.measure(train, image_size)
    words = "generated; no source digit is in two splits"
    return ImageDataset("digit_scenes", DIGITS, image_size, mean, std, train, validation, test, splits=words)


def _existing_folder(spec: str) -> Path:
    path = Path(spec).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise InputError(f"{spec} is a file; give the folder that holds the data set ({_LAYOUTS})")
    if path.parent.is_dir() and path.parent != Path():
        neighbours = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
        close = difflib.get_close_matches(path.name, neighbours, n=1)
        hint = (
            f"did you mean {path.parent / close[0]}?" if close else f"{path.parent} has no folder with a name like it"
        )
        raise InputError(f"there is no folder {spec}; {hint}")
    if len(path.parts) > 1:
        raise InputError(
            f"there is no folder {spec}, nor {path.parent}; give a folder, or one of {', '.join(DATASET_NAMES)}"
        )
    raise InputError(f"{unknown_name('data set', spec, DATASET_NAMES)}; a folder of that name is not here either")


def _recognised(path: Path, memory_limit_mb: int) -> Source:
    """Read a folder in the layout that it has."""
    if files := parquet_files(path):
        return read_parquet(path, files, memory_limit_mb)
    for folder in (path, path / "cifar-10-batches-py", path / "cifar-10-batches-bin"):
        if has_cifar(folder):
            return read_cifar(folder)
    for folder in (path, path / "raw"):
        if has_idx(folder):
            return read_idx(folder)
    entries = [entry for entry in path.iterdir() if not is_hidden(entry.name)]
    if any(entry.is_dir() for entry in entries):
        return read_image_folder(path)
    if any(is_picture(entry) for entry in entries):
        raise InputError(f"the pictures lie directly in {path}; put them in a folder for each class")
    found = f"holds nothing that is known, such as {min(entries).name}" if entries else "is empty"
    raise InputError(f"the folder {path} {found}; looked for {_LAYOUTS}")


def _opened(
    name: str, source: Source, image_size: int | None, skip_unreadable: bool, memory_limit_mb: int
) -> ImageDataset:
    """Split, decode what fits in memory, and measure."""
    parts = three_splits(source)
    size = decoding.usual_size(parts.train) if image_size is None else image_size
    given = {"train": parts.train, "validation": parts.validation, "test": parts.test}
    megabytes = sum(len(part) for part in given.values()) * 3 * size**2 / 2**20
    in_memory = megabytes <= memory_limit_mb
    splits: dict[str, InMemory | OnDisk] = {}
    unreadable: list[str] = []
    for split, part in given.items():
        splits[split], failed = _read(part, split, size, in_memory, skip_unreadable)
        unreadable += failed
    if unreadable:
        total = sum(len(part) for part in given.values())
        say(f"{name}: skipped {len(unreadable)} of {total} pictures that cannot be read:")
        for skipped in unreadable[:_MOST_SAID]:
            say(f"  {skipped}")
        if len(unreadable) > _MOST_SAID:
            say(f"  ... and {len(unreadable) - _MOST_SAID} more")
        _check_what_is_left(splits, source)
    train = splits["train"]
    mean, std = decoding.measure(train, size)
    return ImageDataset(
        name,
        source.classes,
        size,
        mean,
        std,
        train,
        splits["validation"],
        splits["test"],
        tuple(unreadable),
        parts.words,
    )


def _read(
    part: Labelled, split: str, size: int, in_memory: bool, skip_unreadable: bool
) -> tuple[InMemory | OnDisk, list[str]]:
    """One split, without what cannot be read, and the names of that."""
    if in_memory:
        decoded, failures = decoding.decode(part, size, f"reading {split} pictures")
    elif skip_unreadable:
        failures = decoding.check(part, f"checking {split} pictures")
    else:
        failures = {}
    if failures and not skip_unreadable:
        raise skippable(failures[min(failures)])
    readable = np.setdiff1d(np.arange(len(part)), list(failures))
    names = [failures[position].name for position in sorted(failures)]
    if not in_memory:
        return decoding.on_disk(part.take(readable)), names
    if failures:
        kept = torch.from_numpy(readable)
        decoded = InMemory(decoded.images[kept], decoded.labels[kept])
    return decoded, names


def _check_what_is_left(splits: dict[str, InMemory | OnDisk], source: Source) -> None:
    for split, part in splits.items():
        if not len(part):
            raise InputError(
                f"no {split} picture of {source.path} can be read; repair some, or choose another data set"
            )
    present = set(splits["train"].labels.tolist())
    for label, name in enumerate(source.classes):
        if label not in present:
            raise InputError(f"no training picture of the class {name!r} in {source.path} can be read; repair some")
