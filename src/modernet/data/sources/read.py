"""Read the labelled images of a name, a folder or an address."""

from __future__ import annotations

import difflib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from modernet.data.images.finding import is_hidden, is_image
from modernet.data.sources.box_folders import read_boxes
from modernet.data.sources.cifar import has_cifar, read_cifar
from modernet.data.sources.examples import Source
from modernet.data.sources.foreign import refuse_foreign, refuse_foreign_file
from modernet.data.sources.hub import PREFIX, read_hub
from modernet.data.sources.idx import has_idx, read_idx
from modernet.data.sources.ilsvrc import has_ilsvrc, read_ilsvrc
from modernet.data.sources.image_folder import read_image_folder, read_unlabelled_folder
from modernet.data.sources.label_maps import read_label_folder
from modernet.data.sources.labelled_files import label_tables, read_labelled_files
from modernet.data.sources.named import NAMES, read_named
from modernet.data.sources.parquet import parquet_files, read_parquet
from modernet.data.sources.split_files import split_files
from modernet.data.sources.tar import expand_braces, read_tar_folder, read_tar_paths, read_tar_urls, tar_files
from modernet.data.targets import TargetKind
from modernet.errors import InputError, unknown_name
from modernet.files.names import valid_text

DATASET_NAMES = ("digit_scenes", *NAMES)

_OFFERED: tuple[TargetKind, ...] = ("classes", "none")  # by every layout below
_LAYOUTS = (
    "class folders, train/ and test/ above them, images with a table of labels (metadata.jsonl, labels.csv), tar "
    "shards train-*.tar or train/*.tar, parquet files train-*.parquet, CIFAR-10 batches or MNIST's IDX files"
)


class NamedSource(NamedTuple):
    name: str
    """Its name in records and in the folders of runs."""
    source: Source


def read_source(
    spec: str,
    *,
    targets: TargetKind = "classes",
    memory_limit_mb: int = 2048,
    download: bool = True,
    to_learn: bool = True,
) -> NamedSource:
    """Find the images that `spec` means, and their targets, as `open_dataset` describes; nothing is decoded.

    Args:
        spec: anything that `open_dataset` takes, except `"digit_scenes"`, which is generated.
        targets: what to find of each image.
        memory_limit_mb: how much encoded parquet may be kept in memory.
        download: whether a name may be fetched.
        to_learn: whether a network is to learn from them, or only be tested on them: that needs no training split.

    Raises:
        InputError: nothing is there, it is of no known layout, it does not have such targets, or it cannot be used; the
            message says why.
    """
    if targets == "boxes" and _is_folder(spec):
        path = Path(spec).expanduser()
        if not path.is_file():
            path = _existing_folder(spec)
        source = read_boxes(path)
        source.check(to_learn=to_learn)
        return NamedSource(valid_text(Path(source.path).resolve().name or path.resolve().stem), source)
    if targets == "semantic" and _is_folder(spec):
        path = _existing_folder(spec)
        source = read_label_folder(path, to_learn=to_learn)
        source.check(to_learn=to_learn)
        return NamedSource(valid_text(path.resolve().name), source)
    if targets not in _OFFERED:
        raise InputError(f"{spec} has no {targets} targets; it has {' and '.join(_OFFERED)}")
    name, source = _found(spec, targets, memory_limit_mb, download, to_learn)
    if targets == "none":
        source = source.without_targets()
    source.check(to_learn=to_learn)
    return NamedSource(name, source)


def check_source(spec: str) -> None:
    """Check that a folder or a file of data is there, before long work.

    Args:
        spec: anything that `open_dataset` takes; what is no path is not checked.

    Raises:
        InputError: nothing is there; the message names what is near.
    """
    if spec != "digit_scenes" and _is_folder(spec) and not Path(spec).expanduser().is_file():
        _existing_folder(spec)


def _is_folder(spec: str) -> bool:
    """Whether `spec` is the path of a folder, whether there is one or not."""
    return spec not in NAMES and not spec.startswith(("http://", "https://", PREFIX)) and not spec.endswith(".tar")


def _found(spec: str, targets: TargetKind, memory_limit_mb: int, download: bool, to_learn: bool) -> NamedSource:
    if spec in NAMES:
        return NamedSource(spec, read_named(spec, download))
    if spec.startswith(("http://", "https://")):
        return NamedSource(_name_of_address(spec), read_tar_urls(spec))
    if spec.startswith(PREFIX):
        return NamedSource(spec.partition("@")[0].split("/")[1] if "/" in spec else spec, read_hub(spec))
    if spec.endswith(".tar"):
        paths = [Path(path).expanduser() for path in expand_braces(spec)]
        return NamedSource(valid_text(paths[0].resolve().parent.name), read_tar_paths(paths, spec))
    path = _existing_folder(spec)
    return NamedSource(valid_text(path.resolve().name), _recognised(path, targets, memory_limit_mb, to_learn))


def _name_of_address(spec: str) -> str:
    """Return the last folder of an address, or its host: the name in records and in the folders of runs."""
    host, *parts = spec.partition("://")[2].rstrip("/").split("/")
    folders = parts[:-1] if spec.endswith(".tar") else parts
    return folders[-1] if folders else host.replace(":", "-")


def _existing_folder(spec: str) -> Path:
    path = Path(spec).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        refuse_foreign_file(path)
        raise InputError(f"{spec} is a file; give the folder that holds the data set ({_LAYOUTS})")
    if path.parent.is_dir() and path.parent != Path():
        neighbours = [entry.name for entry in path.parent.iterdir() if entry.is_dir()]
        close = difflib.get_close_matches(path.name, neighbours, n=1)
        hint = f"did you mean {path.parent / close[0]}?" if close else f"no folder in {path.parent} has a similar name"
        raise InputError(f"there is no folder {spec}; {hint}")
    if len(path.parts) > 1:
        of_hub = f", or {PREFIX}{spec} for a data set of the Hugging Face Hub" if len(path.parts) == 2 else ""
        raise InputError(
            f"there is no folder {spec}, nor {path.parent}; give a folder, or one of {', '.join(DATASET_NAMES)}{of_hub}"
        )
    raise InputError(f"{unknown_name('data set', spec, DATASET_NAMES)}; nor is there a folder of that name")


def find_image_folder(spec: str) -> Path | None:
    """Return the folder that `spec` means if it has a folder of image files per class; None for anything else.

    Raises:
        InputError: it is in the layout of another tool.
    """
    path = Path(spec).expanduser()
    if spec in DATASET_NAMES or not path.is_dir() or _reader(path, 0) is not None or label_tables(path):
        return None
    refuse_foreign(path)
    return path if any(entry.is_dir() and not is_hidden(entry.name) for entry in path.iterdir()) else None


def _recognised(path: Path, targets: TargetKind, memory_limit_mb: int, to_learn: bool) -> Source:
    """Recognise the layout of a folder and read it."""
    reader = _reader(path, memory_limit_mb)
    if reader is not None:
        return reader()
    if targets == "classes":
        if tables := label_tables(path):
            return read_labelled_files(path, tables)
        if has_ilsvrc(path):
            return read_ilsvrc(path)
        refuse_foreign(path)
    entries = [entry for entry in path.iterdir() if not is_hidden(entry.name)]
    has_folders, has_images = any(entry.is_dir() for entry in entries), any(is_image(entry) for entry in entries)
    if targets == "none" and (has_folders or has_images):
        return read_unlabelled_folder(path, to_learn=to_learn)
    if has_folders:
        return read_image_folder(path, to_learn=to_learn)
    if has_images:
        raise InputError(
            f"the images are directly in {path}; put them in a folder for each class, or add a labels.csv with the "
            "columns file and label"
        )
    found = f"has {min(entries).name} and no known layout" if entries else "is empty"
    raise InputError(f"the folder {path} {found}; known are {_LAYOUTS}")


def _reader(path: Path, memory_limit_mb: int) -> Callable[[], Source] | None:
    """Return the reader of a layout that is recognised by its files; None for class folders and anything else."""
    if files := parquet_files(path):
        return partial(read_parquet, path, files, memory_limit_mb)
    if tar_files(path) or split_files(path, ".tar"):
        return partial(read_tar_folder, path)
    for folder in (path, path / "cifar-10-batches-py", path / "cifar-10-batches-bin"):
        if has_cifar(folder):
            return partial(read_cifar, folder)
    for folder in (path, path / "raw"):
        if has_idx(folder):
            return partial(read_idx, folder)
    return None
