"""Offsets of the samples in a tar shard (WebDataset's layout), so that each can be read on its own."""

from __future__ import annotations

import json
import re
import tarfile
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modernet.data.images.finding import IMAGE_SUFFIXES, is_hidden
from modernet.errors import InputError, one_line
from modernet.files.atomic import whole_file
from modernet.files.fingerprint import file_sha256

INDEX_FILE = "index.json"
RULES = 2
"""Version of what `index_shard` takes for a sample and its label; cached indexes of another are made again."""

_FORMAT = "modernet shards 1"
_LARGEST = 2**63 - 1  # int64
_LABEL_SUFFIXES = ("cls", "json")  # the first that a sample has is its label


@dataclass(frozen=True)
class ShardIndex:
    """The samples of one shard, in order.

    Attributes:
        name: of the file.
        size: of the file in bytes.
        keys: the name of each sample, without suffix.
        offsets: of each image in the file, in bytes.
        sizes: of each image in bytes.
        labels: integers or names.
        sha256: of the whole file; None if it was not computed.
    """

    name: str
    size: int
    keys: list[str]
    offsets: list[int]
    sizes: list[int]
    labels: list[int] | list[str]
    sha256: str | None = None


def index_shard(path: Path, *, checksum: bool = False) -> ShardIndex:
    """Read the headers of a tar file.

    A sample is the files whose paths agree up to the first dot of their name: an image (`.jpg`, `.png`, ...) and a
    label, `.cls` (a number or a name) or, where there is none, `.json` with `label`; their order does not matter.
    Other files are skipped, such as `1.seg.png`. Names with more dots, of which WebDataset takes the first, are samples
    as well where image and label agree up to the last one (`photo.v2.jpg`, `photo.v2.cls`).

    Args:
        checksum: compute the sha256 as well.

    Raises:
        InputError: it is not a plain tar file or is truncated, a sample has no label, two images or two labels of a
            kind, or no image has a name that a sample may have.
    """
    images: dict[str, tuple[int, int]] = {}
    twice: set[str] = set()
    files: dict[str, dict[str, tarfile.TarInfo]] = {suffix: {} for suffix in _LABEL_SUFFIXES}
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                folder, _, name = member.name.rpartition("/")
                if not member.isfile() or is_hidden(name):
                    continue
                stem, suffix = _parted(name)
                key = f"{folder}/{stem}" if folder else stem
                if f".{suffix}" in IMAGE_SUFFIXES:
                    if key in images:
                        twice.add(key)
                    images[key] = member.offset_data, member.size
                elif suffix in files:
                    if key in files[suffix]:
                        raise InputError(f"{path} has two files named {key}.{suffix}; a sample has one")
                    files[suffix][key] = member
            labels = _labels(tar, path, images, files)
    except (tarfile.TarError, OSError) as error:
        raise InputError(
            f"cannot read {path} as tar: {one_line(error)}; create it again (shards are plain .tar files)"
        ) from error
    whole = {key: place for key, place in images.items() if key in labels or "." not in Path(key).name}
    if images and not whole:
        raise InputError(
            f"{path} has no label for {min(images)}: up to the first dot or to the last, image and label must have one "
            "name, such as 0001.jpg and 0001.cls"
        )
    images = whole
    for key in images:
        if key in twice:
            raise InputError(f"{path} has two images named {key}; a sample has one")
        if key not in labels:
            raise InputError(f"{path}, {key} has no label; add {Path(key).name}.cls with a number or a name")
    size = path.stat().st_size
    if any(offset + length > size for offset, length in images.values()):
        raise InputError(f"{path} is truncated: an image ends after the end of the file; create it again")
    found = [labels[key] for key in images]
    names = [label for label in found if isinstance(label, str)]
    numbers = [label for label in found if isinstance(label, int)]
    if names and numbers:
        raise InputError(f"{path} has the labels {numbers[0]} and {names[0]!r}; labels are all numbers or all names")
    digest = file_sha256(path) if checksum else None
    offsets, sizes = [offset for offset, _ in images.values()], [length for _, length in images.values()]
    return ShardIndex(path.name, size, list(images), offsets, sizes, names or numbers, digest)


def write_index(file: Path, shards: list[ShardIndex], classes: tuple[str, ...] | None, **more: Any) -> None:
    """Write the indexes of some shards as JSON, with the class names and `more`.

    The file is also a valid shard list for wids and its relatives, which index the tar files themselves.
    """
    shard_list = [{"url": shard.name, "nsamples": len(shard.keys), "filesize": shard.size} for shard in shards]
    content = {
        "format": _FORMAT,
        "classes": classes,
        "shards": [vars(shard) for shard in shards],
        **more,
        "__kind__": "wids-shard-index-v1",
        "wids_version": 1,
        "shardlist": shard_list,
    }
    with whole_file(file) as unfinished:
        unfinished.write_text(json.dumps(content, separators=(",", ":")))


def parse_index(content: bytes, name: str) -> tuple[list[ShardIndex], tuple[str, ...] | None, Mapping[str, Any]]:
    """Parse a file of `write_index`: the shards, the classes, and the whole content.

    Raises:
        InputError: it is another kind of file.
    """
    try:
        found = json.loads(content)
        if found["format"] != _FORMAT:
            raise ValueError(found["format"])
        shards = [_checked(ShardIndex(**shard)) for shard in found["shards"]]
        classes = None if found["classes"] is None else tuple(str(name) for name in found["classes"])
    except (
        ValueError,
        TypeError,
        KeyError,
        RecursionError,
    ) as error:  # the last: nested brackets
        raise InputError(
            f"{name} is not an index of shards; remove it, or recreate it with modernet data pack"
        ) from error
    return shards, classes, found


def wids_shards(content: bytes) -> list[str] | None:
    """Return the names of the shards in a wids index, relative to its folder; None if it is another kind of file.

    Such an index lists shards and their lengths, but not the offsets of samples. Shards in other folders or on other
    hosts are not followed.
    """
    try:
        found = json.loads(content)
        names = [str(shard["url"]) for shard in found["shardlist"]]
        plain = all(name == Path(name).name and name.endswith(".tar") for name in names)
        return names if names and plain and found["wids_version"] == 1 and "format" not in found else None
    except (ValueError, TypeError, KeyError, RecursionError):
        return None


def _checked(shard: ShardIndex) -> ShardIndex:
    """Check an untrusted index, so that a wrong type is not a traceback in the middle of training."""
    numbers = (shard.size, *shard.offsets, *shard.sizes)
    columns = shard.keys, shard.offsets, shard.sizes, shard.labels
    if not (
        shard.name == Path(shard.name).name  # never a file in another folder
        and shard.name.endswith(".tar")
        and {len(column) for column in columns} == {len(shard.keys)}
        and all(isinstance(key, str) for key in shard.keys)
        and all(type(number) is int and 0 <= number <= _LARGEST for number in numbers)
        and all(start + size <= shard.size for start, size in zip(shard.offsets, shard.sizes, strict=True))
        and {type(label) for label in shard.labels} in (set(), {int}, {str})
        and isinstance(shard.sha256, str | None)
    ):
        raise ValueError(shard.name)
    return shard


def _parted(name: str) -> tuple[str, str]:
    """Return the key of a file's sample, and the suffix in lower case: parted at the first dot if that gives a known
    suffix, or else at the last.
    """
    key, _, suffix = name.partition(".")
    if f".{suffix.lower()}" not in IMAGE_SUFFIXES and suffix.lower() not in _LABEL_SUFFIXES:
        key, _, suffix = name.rpartition(".")
    return key, suffix.lower()


def _labels(
    tar: tarfile.TarFile, path: Path, images: Container[str], files: Mapping[str, Mapping[str, tarfile.TarInfo]]
) -> dict[str, int | str]:
    """Read the labels of images: of each sample the first file, in the order of `_LABEL_SUFFIXES`, that has one."""
    labels: dict[str, int | str] = {}
    for suffix, members in files.items():
        for key, member in members.items():
            if key in labels or key not in images:
                continue
            content = tar.extractfile(member)
            assert content is not None
            label = _label(content.read(), suffix, f"{path}, {member.name}")
            if label is not None:
                labels[key] = label
    return labels


def _label(content: bytes, suffix: str, name: str) -> int | str | None:
    """Return the label in a file of a sample; None if it has none."""
    try:
        text = content.decode().strip()
        if suffix == "cls":
            return int(text) if re.fullmatch(r"-?\d+", text) else text or None
        found = json.loads(text)
        label = found.get("label") if isinstance(found, dict) else None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{name} cannot be read as {suffix}; it must contain the label, a number or a name") from error
    return label if isinstance(label, str) or type(label) is int else None
