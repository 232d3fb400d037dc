"""Tar shards in WebDataset's layout, local or behind HTTP.

An index has the offset of every image, so shards are as good as single files: an exact shuffle, an exact resume, every
image once an epoch, for any number of processes. A shard behind HTTP is fetched when its first image is needed.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import product, takewhile
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from modernet.data.images.collection import EncodedImages
from modernet.data.images.decoding import UnreadableImage
from modernet.data.images.finding import is_hidden
from modernet.data.sources.assemble import assemble
from modernet.data.sources.examples import Source
from modernet.data.sources.shard_index import (
    INDEX_FILE,
    RULES,
    ShardIndex,
    index_shard,
    parse_index,
    wids_shards,
    write_index,
)
from modernet.data.sources.split_files import split_files
from modernet.data.sources.split_names import place_of, split_of
from modernet.errors import InputError
from modernet.files.bounded_cache import cached, open_cached
from modernet.files.cache import cache_folder, only_one
from modernet.files.fetch import FetchError, fetch, fetch_bytes
from modernet.files.names import valid_text
from modernet.progress import say, track

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")
_WORTH_KEEPING = 64 * 2**20  # bytes of a shard; smaller ones are indexed quickly
_STALE_INDEX = (
    "the shard has changed since it was indexed; recreate index.json, or, if the address has none, remove "
    "the folder indexes of the cache"
)
_ABSENT = (403, 404, 410)  # statuses of a missing file; S3 sends 403


class Shard(Protocol):
    """A tar file, local or remote."""

    @property
    def place(self) -> str:
        """Its path or address."""

    def open(self) -> BinaryIO:
        """Open it, fetched first if it is not on this machine."""


@dataclass(frozen=True)
class LocalShard:
    path: Path

    @property
    def place(self) -> str:
        return self.path.as_posix()

    def open(self) -> BinaryIO:
        return self.path.open("rb")


@dataclass(frozen=True)
class RemoteShard:
    url: str
    size: int | None = None
    sha256: str | None = None

    @property
    def place(self) -> str:
        return self.url

    @property
    def cache_name(self) -> str:
        """Cache file name; includes the checksum, so that a changed shard gets a new one."""
        name = self.url.rpartition("/")[2]
        return f"{sha256(f'{self.url} {self.sha256}'.encode()).hexdigest()[:16]}-{name}"

    def fetch(self, target: Path) -> None:
        fetch(self.url, target, size=self.size, sha256=self.sha256, if_changed=_STALE_INDEX)

    def open(self) -> BinaryIO:
        return open_cached(self.cache_name, self.fetch)


class TarImages(EncodedImages):
    """Images in tar shards.

    Args:
        shards: the tar files.
        names: theirs, unique.
        indexes: theirs.
    """

    def __init__(self, shards: Sequence[Shard], names: Sequence[str], indexes: Sequence[ShardIndex]) -> None:
        self._shards, self._names = tuple(shards), tuple(names)
        self.shard_of: NDArray[np.int64] = np.repeat(np.arange(len(shards)), [len(index.keys) for index in indexes])
        self._offsets = np.array([offset for index in indexes for offset in index.offsets], dtype=np.int64)
        self._sizes = np.array([size for index in indexes for size in index.sizes], dtype=np.int64)
        # names in a tar need not be UTF-8
        keys = (key.encode(errors="surrogateescape") for index in indexes for key in index.keys)
        self._keys = pa.array(keys, pa.large_binary())

    def __len__(self) -> int:
        return len(self._offsets)

    def name(self, index: int) -> str:
        return valid_text(", ".join(self._parts(index)))

    def identity(self, index: int) -> str:
        return "/".join(self._parts(index))

    def _parts(self, index: int) -> tuple[str, str]:
        key: bytes = self._keys[index].as_py()
        return self._names[self.shard_of[index]], key.decode(errors="surrogateescape")

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        return self._sizes[indices]

    def content(self, index: int) -> bytes:
        size = int(self._sizes[index])
        try:
            with self._shards[self.shard_of[index]].open() as file:
                file.seek(int(self._offsets[index]))
                content: bytes = file.read(size)
        except OSError as error:
            raise UnreadableImage(self.name(index), error.strerror or str(error)) from error
        if len(content) < size:
            raise UnreadableImage(self.name(index), "it is truncated")
        return content


def tar_files(folder: Path) -> list[Path]:
    """Return the tar files in a folder, sorted."""
    return [file for file in sorted(folder.iterdir()) if file.suffix == ".tar" and not is_hidden(file.name)]


def read_tar_folder(folder: Path) -> Source:
    """Read a folder of shards: those listed in `index.json`, or all in it, or all in folders for splits below it.

    The split of a shard follows from its name (`train-000000.tar`, `imagenet-val-07.tar`), or from that of its folder
    (`train/0.tar`); if no name has one, all are one set.

    Raises:
        InputError: a shard is missing or cannot be read, or only some names have a split.
    """
    file = folder / INDEX_FILE
    if not tar_files(folder):
        splits = split_files(folder, ".tar")
        for paths in splits.values():
            _check_number(paths)
        return read_tar_paths([path for paths in splits.values() for path in paths], folder)
    if not file.is_file():
        _check_number(tar_files(folder))
        return read_tar_paths(tar_files(folder), folder)
    content = file.read_bytes()
    if names := wids_shards(content):
        return read_tar_paths([folder / name for name in names], folder)
    indexes, classes, _ = parse_index(content, str(file))
    paths = [folder / index.name for index in indexes]
    for path, index in zip(paths, indexes, strict=True):
        if not path.is_file():
            raise InputError(f"the shard {path} is missing; add it, or recreate {INDEX_FILE} (modernet data pack)")
        if (size := path.stat().st_size) != index.size:
            raise InputError(
                f"the shard {path} is {size} bytes; {INDEX_FILE} says {index.size}: replace it, or recreate "
                f"{INDEX_FILE} (modernet data pack)"
            )
    return _source(folder, [LocalShard(path) for path in paths], indexes, classes, remote=False)


def read_tar_paths(paths: Sequence[Path], where: Path | str) -> Source:
    """Read shards; the index of a large one is cached until the file changes.

    Class names are the lines of `classes.txt` or `classnames.txt` in the same folder, or in the one above the folder of
    a split; without them, the labels themselves.

    Args:
        where: the name of the data set in messages.
    """
    for path in paths:
        if not path.is_file():
            raise InputError(f"there is no shard {path}; give existing ones, such as 'path/{{000..127}}.tar'")
    indexes = [_local_index(path) for path in track(paths, f"indexing {where}", len(paths))]
    classes = _class_names(paths[0].parent)
    return _source(where, [LocalShard(path) for path in paths], indexes, classes, remote=False)


def _class_names(folder: Path) -> tuple[str, ...] | None:
    folders = (folder, folder.parent) if split_of(folder.name) else (folder,)
    for file in (folder / name for folder in folders for name in ("classes.txt", "classnames.txt")):
        if file.is_file():
            return tuple(file.read_text(encoding="utf-8", errors="backslashreplace").splitlines())
    return None


def _check_number(paths: Sequence[Path]) -> None:
    """Check the shards of a folder against its `nshards.txt`, which the Hub's wds_* sets have."""
    file = paths[0].parent / "nshards.txt"
    expected = file.read_text(errors="replace").strip() if file.is_file() else ""
    if expected.isdigit() and int(expected) != len(paths):
        raise InputError(
            f"{file} says {expected} shards, but there are {len(paths)}; add the others, or correct the file"
        )


def read_tar_urls(spec: str) -> Source:
    """Read shards behind HTTP: a folder with an `index.json`, or the addresses of tar files with braces.

    Without an `index.json` in their folder, the tar files are fetched once to be indexed.

    Raises:
        InputError: something cannot be fetched or read.
    """
    urls = expand_braces(spec)
    tars = all(url.endswith(".tar") for url in urls)
    base = urls[0].rpartition("/")[0] if tars else spec.rstrip("/")
    content = _index_at(f"{base}/{INDEX_FILE}", needed=not tars)
    names = None if content is None else wids_shards(content)
    if content is None or names:
        return _index_remote(spec, urls if tars else [f"{base}/{name}" for name in names or ()])
    indexes, classes, _ = parse_index(content, f"{base}/{INDEX_FILE}")
    if tars:
        known = {f"{base}/{index.name}": index for index in indexes}
        for url in urls:
            if url not in known:
                raise InputError(
                    f"{base}/{INDEX_FILE} does not list the shard {url}; it lists {len(known)}, such as {min(known)}"
                )
        indexes = [known[url] for url in urls]
    shards = [RemoteShard(f"{base}/{index.name}", index.size, index.sha256) for index in indexes]
    return _source(spec, shards, indexes, classes, remote=True)


def expand_braces(pattern: str) -> list[str]:
    """`a-{08..10}.tar` -> `a-08.tar`, `a-09.tar`, `a-10.tar`; `{train,val}.tar` -> `train.tar`, `val.tar`.

    Raises:
        InputError: a range runs backwards, or braces are nested or unbalanced.
    """
    if set("{}") & set(_BRACES.sub("", pattern)):
        raise InputError(
            f"the braces of {pattern} are nested or unbalanced; give them one after another, as {{a,b}}-{{0..9}}"
        )
    parts = _BRACES.split(pattern)  # text and what is in braces, in turn
    choices = [_choices(part, pattern) if number % 2 else [part] for number, part in enumerate(parts)]
    return ["".join(chosen) for chosen in product(*choices)]


def _choices(inside: str, pattern: str) -> list[str]:
    match = _RANGE.fullmatch(inside)
    if match is None:
        return inside.split(",")
    first, last = int(match[1]), int(match[2])
    if last < first:
        raise InputError(f"the range {{{inside}}} of {pattern} runs backwards; give {{{match[2]}..{match[1]}}}")
    return [str(number).zfill(len(match[1])) for number in range(first, last + 1)]


def _index_at(url: str, *, needed: bool) -> bytes | None:
    try:
        return fetch_bytes(url)
    except FetchError as error:
        if error.status not in _ABSENT:
            raise
        if needed:
            raise InputError(
                f"there is no {url}; give a folder with the index that modernet data pack writes, or the addresses of "
                "tar files, such as https://host/train-{000..127}.tar"
            ) from error
        return None


def _index_remote(spec: str, urls: list[str]) -> Source:
    """Read shards without an index: each is fetched once to be indexed, and its index is cached."""
    kept = [cache_folder() / "indexes" / f"{RemoteShard(url).cache_name}.{RULES}.json" for url in urls]
    missing = sum(not file.is_file() for file in kept)
    if missing:
        say(f"{spec} has no {INDEX_FILE}: {missing} of {len(urls)} shards are fetched now to be indexed")
    indexes: list[ShardIndex] = []
    shards: list[RemoteShard] = []
    for url, file in track(zip(urls, kept, strict=True), f"indexing {spec}", len(urls)):
        with only_one(file):
            if not file.is_file():
                shard = RemoteShard(url)
                write_index(file, [index_shard(cached(shard.cache_name, shard.fetch))], None)
        index = parse_index(file.read_bytes(), str(file))[0][0]
        indexes.append(index)
        shards.append(RemoteShard(url, index.size))
    return _source(spec, shards, indexes, None, remote=True)


def _local_index(path: Path) -> ShardIndex:
    state = path.stat()
    if state.st_size < _WORTH_KEEPING:
        return index_shard(path)
    digest = sha256(str(path.resolve()).encode(errors="surrogateescape")).hexdigest()[:16]
    kept = cache_folder() / "indexes" / f"{digest}-{path.name}.{RULES}.json"
    try:
        (index,), _, more = parse_index(kept.read_bytes(), str(kept))
        if index.size == state.st_size and more["changed_ns"] == state.st_mtime_ns:
            return index
    except (OSError, ValueError, KeyError):  # missing or damaged
        pass
    index = index_shard(path)
    try:
        with only_one(kept):
            write_index(kept, [index], None, changed_ns=state.st_mtime_ns)
    except OSError as error:  # only time is lost
        say(f"cannot cache the index of {path} in {kept.parent} ({error.strerror or error}); it is made each time")
    return index


def _source(
    where: Path | str,
    shards: Sequence[Shard],
    indexes: Sequence[ShardIndex],
    classes: tuple[str, ...] | None,
    *,
    remote: bool,
) -> Source:
    """Divide shards into splits by their names."""
    names = _short_names([shard.place for shard in shards])
    members: dict[str, list[int]] = {}
    for number, name in enumerate(names):
        place = place_of(PurePosixPath(name))
        members.setdefault(place[1] if place else "", []).append(number)
    if "" in members:
        if len(members) > 1:
            stray = names[members[""][0]]
            raise InputError(
                f"{where}: {stray} has no split in its name, but other shards do; begin it with train, val or test"
            )
        members = {"train": members[""]}
    labels = {
        split: [label for number in numbers for label in indexes[number].labels] for split, numbers in members.items()
    }

    @functools.cache
    def images_of(split: str) -> tuple[TarImages, NDArray[np.int64] | None]:
        numbers = members[split]
        images = TarImages(
            [shards[number] for number in numbers],
            [names[number] for number in numbers],
            [indexes[number] for number in numbers],
        )
        return images, images.shard_of if remote else None

    return assemble(
        where, labels, images_of, name_of=lambda split, index: images_of(split)[0].name(index), classes=classes
    )


def _short_names(places: Sequence[str]) -> list[str]:
    """Return paths or addresses without the folders that all of them share."""
    parts = [place.split("/") for place in places]
    levels = zip(*(folders for *folders, _ in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    return ["/".join(part[shared:]) for part in parts]
