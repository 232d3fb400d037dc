"""Folders of files with one cloud or one mesh each, in a folder for each class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from modernet.data.generating import Arrays, column, generated
from modernet.data.images.finding import files_below, is_hidden
from modernet.data.points.sources.assembling import Item, PointSource
from modernet.data.points.sources.clouds import Cloud, UnreadableCloud
from modernet.data.points.sources.files import is_cloud, kept_points, read_file
from modernet.data.sources.image_folder import split_folders
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError
from modernet.files.fingerprint import json_sha256
from modernet.files.names import valid_text

_VERSION = 2  # changes with everything that changes what is read of a file
_AT_ONCE = 256  # files


def has_clouds(path: Path) -> bool:
    """Return whether there is a file with a cloud or a mesh below a folder."""
    return any(map(is_cloud, files_below(path)))


def read_folder(path: Path, points: int) -> PointSource:
    """Read `class/*.off`, or the same below `train/`, `val/` and `test/`; also `class/train/*.off`, as ModelNet has it.

    Files may be .off, .ply, .obj, .stl, .xyz, .txt, .pts, .npy or .npz. Where they have classes of their points, the
    folders are categories of shapes. They are read once, and kept in the cache folder.

    Args:
        points: that a network is shown. Twice as many of each file are kept, or drawn from a mesh, and at least 2,048.

    Raises:
        InputError: there is no class folder, or one without such a file.
    """
    given = _listed(path)
    files = [file for of_split in given.values() for file, _ in of_split]
    items: dict[str, list[Item]] = {}
    number = 0
    for split, of_split in given.items():
        items[split] = []
        for file, identity in of_split:
            items[split].append(Item(valid_text(str(file)), valid_text(identity.partition("/")[0]), identity, number))
            number += 1
    return PointSource(
        valid_text(path.resolve().name), path, items, kept_files(path, files, points), {"files": len(files)}
    )


def _listed(path: Path) -> dict[str, list[tuple[Path, str]]]:
    """Return the files of each split that there is, and the path of each below the folder of its split."""
    given: dict[str, list[tuple[Path, str]]] = {}
    folders = split_folders(path)
    for split, folder in folders.items():
        classes = sorted(entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name))
        if not classes:
            raise InputError(f"there is no class folder in {folder}; put clouds or meshes in a folder for each class")
        for class_folder in classes:
            files = [file for file in files_below(class_folder) if is_cloud(file)]
            if not files:
                raise InputError(
                    f"there is no cloud or mesh in the class folder {class_folder}; add some, or remove the folder"
                )
            for file in files:
                relative = file.relative_to(folder)
                inner = relative.parts[1]
                of = split_of(inner) if len(relative.parts) > 2 and len(folders) == 1 and is_split_word(inner) else None
                given.setdefault(of or split, []).append((file, relative.as_posix()))
    return given


def kept_files(path: Path, files: Sequence[Path], points: int, *, in_order: bool = False) -> Callable[[Item], Cloud]:
    """Read files, or use what was kept of them, and return what loads the cloud of an item.

    Args:
        path: of all of them, for its name.
        points: that a network is shown.
        in_order: as of `read_file`.
    """
    most = kept_points(points)
    about = [(file.relative_to(path).as_posix(), *_state(file)) for file in files]
    key = json_sha256([_VERSION, most, in_order, str(path.resolve()), about])[:16]
    folder = generated(
        f"points/clouds-{key}",
        -(-len(files) // _AT_ONCE),
        partial(_read, [str(file) for file in files], most, in_order),
        _join,
        f"reading {valid_text(path.resolve().name)}",
    )
    numbers, labels = (np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("numbers", "labels"))
    lengths, channels, labelled, reasons = (
        np.load(folder / f"{name}.npy") for name in ("lengths", "channels", "labelled", "reasons")
    )
    ends, label_ends = np.cumsum(lengths * channels), np.cumsum(lengths * labelled)

    def load(item: Item) -> Cloud:
        file = item.file
        if reasons[file]:
            raise UnreadableCloud(str(reasons[file]))
        n = lengths[file]
        cloud = np.array(numbers[ends[file] - n * channels[file] : ends[file]]).reshape(n, channels[file])
        return Cloud(cloud, np.array(labels[label_ends[file] - n : label_ends[file]]) if labelled[file] else None)

    return load


def _state(file: Path) -> tuple[int, int, int]:
    """Return what changes with the content of a file, and with whether it can be read."""
    try:
        state = file.stat()
    except OSError:  # it is reported when it is read
        return 0, 0, 0
    return state.st_size, state.st_mtime_ns, state.st_ctime_ns  # the last of which changes with permissions too


def _read(files: Sequence[str], most: int, in_order: bool, index: int) -> Arrays:
    """Read some of the files; those that cannot be used have a reason, and no points."""
    numbers, labels = [np.empty(0, np.float32)], [np.empty(0, np.int64)]
    about: list[tuple[int, int, bool]] = []
    reasons: list[str] = []
    for file in files[index * _AT_ONCE : (index + 1) * _AT_ONCE]:
        try:
            cloud = read_file(Path(file), most, in_order=in_order)
        except UnreadableCloud as error:
            about.append((0, 0, False))
            reasons.append(str(error))
            continue
        numbers.append(cloud.points.ravel())
        labels += [] if cloud.labels is None else [cloud.labels]
        about.append((*cloud.points.shape, cloud.labels is not None))
        reasons.append("")
    lengths, channels, labelled = np.array(about, dtype=np.int64).T
    return {
        "numbers": np.concatenate(numbers),
        "labels": np.concatenate(labels),
        "lengths": lengths,
        "channels": channels,
        "labelled": labelled,
        "reasons": np.array(reasons, dtype=np.str_),
    }


def _join(chunks: Sequence[Path], folder: Path) -> None:
    for name in ("numbers", "labels", "lengths", "channels", "labelled", "reasons"):
        np.save(folder / f"{name}.npy", np.concatenate([column(chunk, name) for chunk in chunks]))
