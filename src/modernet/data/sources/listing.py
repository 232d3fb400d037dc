"""List the images in class folders, and cache the list: a folder of a million images opens in seconds the second time.

The cache stores the modification time of every folder. A file that is added, removed or renamed changes that of its
folder, so checking 1,000 folders validates a million file names.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modernet.data.images.files import ImageFiles
from modernet.data.images.finding import IMAGE_SUFFIXES, is_hidden, leads_back
from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.files.cache import cache_folder, only_one
from modernet.progress import say, track

_WORTH_KEEPING = 10_000  # images; fewer are listed quickly
COARSEST_CLOCK_NS = 2 * 10**9  # FAT; a change within one tick leaves the time as it is
_KEY = b"modernet listing 3"  # 2 had no images behind links


class Listing(NamedTuple):
    """The images in the class folders of a folder.

    Attributes:
        class_folders: their names in alphabetical order, also of those without an image.
        images: all images, by class, then by path.
        class_of: int64 (n,), the class folder of each image.
    """

    class_folders: tuple[str, ...]
    images: ImageFiles
    class_of: NDArray[np.int64]


class _Walked(NamedTuple):
    """Every folder, the root first, with its modification time; every image, with its folder."""

    parents: list[str]
    changed_ns: list[int]
    names: pa.Array
    parent_of: NDArray[np.int32]


def list_classes(folder: Path) -> Listing:
    """List the class folders of `folder` and the images below them.

    Links to folders are followed, but for those that lead back. Hidden files and folders, files of other kinds, and
    images directly in `folder` are skipped.

    Raises:
        InputError: a folder cannot be listed.
    """
    found = _list(folder)
    class_folders = [parent for parent in found.parents if parent and "/" not in parent]
    number = {name: position for position, name in enumerate(class_folders)}
    class_of_parent = np.array([number.get(parent.partition("/")[0], -1) for parent in found.parents])
    class_of = class_of_parent[found.parent_of]
    inside = class_of >= 0
    images = ImageFiles(folder, found.parents, found.parent_of[inside], found.names.filter(pa.array(inside)))
    return Listing(tuple(class_folders), images, class_of[inside])


def list_images(folder: Path) -> ImageFiles:
    """List all images in a folder and below it, without hidden files and folders.

    Raises:
        InputError: a folder cannot be listed.
    """
    found = _list(folder)
    return ImageFiles(folder, found.parents, found.parent_of, found.names)


def _list(folder: Path) -> _Walked:
    kept = cache_folder() / "listings" / f"{folder.name}-{sha256(os.fsencode(folder.resolve())).hexdigest()[:16]}.arrow"
    found = _kept(kept, folder)
    if found is None:
        began_ns = time.time_ns()
        found = _walk(folder)
        if len(found.names) >= _WORTH_KEEPING and max(found.changed_ns) < began_ns - COARSEST_CLOCK_NS:
            _keep(kept, found)
    return found


def _walk(folder: Path) -> _Walked:
    parents, changed_ns = [""], [_changed_ns(folder)]
    names: list[bytes] = []
    parent_of: list[int] = []

    def add(name: str, parent: int) -> None:
        if os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES:  # noqa: PTH122 - a million times
            names.append(os.fsencode(name))
            parent_of.append(parent)

    def visit(relative: str) -> None:
        """Walk a folder and all below it, in the order of paths."""
        path = folder / relative
        number = len(parents)
        parents.append(relative)
        changed_ns.append(_changed_ns(path))  # before its entries are read, so that later changes are noticed
        for entry in _entries(path):
            if not entry.is_dir():
                add(entry.name, number)
            elif _ends(entry, folder):
                visit(f"{relative}/{entry.name}")

    classes = []
    for entry in _entries(folder):
        if not entry.is_dir():
            add(entry.name, 0)
        elif _ends(entry, folder):
            classes.append(entry.name)
    for name in track(classes, f"listing {folder}", len(classes)):
        visit(name)
    return _Walked(parents, changed_ns, pa.array(names, pa.large_binary()), np.array(parent_of, dtype=np.int32))


def _ends(entry: os.DirEntry[str], root: Path) -> bool:
    """Return whether a folder can be walked to an end; say so if not."""
    if not entry.is_symlink() or not leads_back(Path(entry.path), root):
        return True
    say(f"passed over the link {entry.path}: it leads back to a folder that holds it")
    return False


def _entries(path: Path) -> Iterator[os.DirEntry[str]]:
    """Yield the entries of a folder in alphabetical order, but for hidden ones."""
    try:
        with os.scandir(path) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
    except OSError as error:
        raise _not_listed(path, error) from error
    return (entry for entry in found if not is_hidden(entry.name))


def _changed_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError as error:
        raise _not_listed(path, error) from error


def _not_listed(path: Path, error: OSError) -> InputError:
    return InputError(f"cannot list the folder {path}: {error.strerror}; make it readable, or remove it")


def _keep(file: Path, found: _Walked) -> None:
    schema = pa.schema({"name": found.names.type, "parent": pa.int32()})
    folders = json.dumps({"parents": found.parents, "changed_ns": found.changed_ns})
    schema = schema.with_metadata({_KEY: folders.encode()})
    try:
        with (
            only_one(file),
            whole_file(file) as unfinished,
            pa.OSFile(os.fsencode(unfinished), "wb") as sink,
            pa.ipc.new_file(sink, schema) as out,
        ):
            out.write_batch(pa.record_batch([found.names, pa.array(found.parent_of)], schema=schema))
    except OSError as error:  # only time is lost
        say(f"cannot cache the list of images in {file.parent} ({error.strerror or error}); it is made again each time")


def _kept(file: Path, folder: Path) -> _Walked | None:
    """Return the cached list if there is one and no folder has changed since."""
    try:
        table = pa.ipc.open_file(pa.memory_map(os.fsencode(file))).read_all()
        folders = json.loads(table.schema.metadata[_KEY])
        parents, changed_ns = folders["parents"], folders["changed_ns"]
        if any((folder / parent).stat().st_mtime_ns != then for parent, then in zip(parents, changed_ns, strict=True)):
            return None
        columns = table.combine_chunks()
        return _Walked(parents, changed_ns, columns["name"].chunk(0), columns["parent"].chunk(0).to_numpy())
    except (OSError, KeyError, ValueError, TypeError, pa.ArrowException):  # missing, damaged, or a folder was removed
        return None
