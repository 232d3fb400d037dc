"""The published folders of Pathfinder: pictures as PNG, and lists of them whose names end in npy."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, UnidentifiedImageError

from modernet.data.generating import Arrays, column, generated
from modernet.data.sequences.pathfinder.generation import join_pictures, map_pictures
from modernet.data.sequences.pathfinder.pictures import Pictures
from modernet.errors import InputError
from modernet.files.fingerprint import json_sha256
from modernet.progress import say

HARD = "curv_contour_length_14"
"""Folder of the Arena's task, beside those of its easier versions."""
_LABEL = 3  # column: folder, file, number, label, ...


class Published(NamedTuple):
    pictures: Pictures
    folder: Path
    """With `imgs` and `metadata`."""
    skipped: tuple[str, ...]
    """Files that are empty."""
    digest: str
    """Of the lists."""


def published_pictures(folder: Path, side: int) -> Published:
    """Read pictures in the order of their lists, without the files that are empty, as the Arena does.

    The archive nests: `folder` may be the one with `imgs` and `metadata`, or have it as `curv_contour_length_14`, or
    have that in `pathfinder32`. Decoded pictures are kept in the cache folder.

    Raises:
        InputError: the folder has another layout, a list is broken, or a picture is missing, broken or of another size.
    """
    root = _root(folder, side)
    lists = sorted((root / "metadata").glob("*.npy"), key=lambda file: (not file.stem.isdigit(), file.stem.zfill(9)))
    if not lists:
        raise InputError(f"{root / 'metadata'} has no lists of pictures, such as 0.npy; give the unpacked folder")
    contents = [file.read_bytes() for file in lists]
    digest = json_sha256([content.hex() for content in contents])
    changed = [folder.stat().st_mtime_ns for folder in sorted((root / "imgs").iterdir())]
    key = json_sha256([str(root.resolve()), side, digest, changed])[:16]
    kept = generated(f"sequences/pathfinder{side}-read-{key}", len(lists), partial(_read, root, side, lists), _join)
    skipped = tuple(str(name) for name in np.load(kept / "skipped.npy"))
    if skipped:
        say(
            f"{root}: skipped {len(skipped)} empty files: {', '.join(skipped[:5])}{', ...' if len(skipped) > 5 else ''}"
        )
    return Published(map_pictures(kept), root, skipped, digest)


def _root(folder: Path, side: int) -> Path:
    for root in (folder, folder / HARD, folder / f"pathfinder{side}" / HARD):
        if (root / "metadata").is_dir() and (root / "imgs").is_dir():
            return root
    raise InputError(
        f"{folder} has no imgs/ and metadata/, nor has a {HARD} in it; "
        "give the folder of the Arena's archive that has them"
    )


def _read(root: Path, side: int, lists: Sequence[Path], index: int) -> Arrays:
    """Read the pictures of one list."""
    images, labels, skipped = [], [], []
    for number, line in enumerate(_lines(lists[index]), 1):
        place = f"line {number} of {lists[index]}"
        if len(line) <= _LABEL or line[_LABEL] not in ("0", "1"):
            raise InputError(f"{place} is {' '.join(line)!r}; it needs folder, file, number, and the label 0 or 1")
        file = root / line[0] / line[1]
        try:
            if not file.stat().st_size:
                skipped.append(f"{line[0]}/{line[1]}")
                continue
            with Image.open(file) as image:
                pixels = np.asarray(image.convert("L"))
        except FileNotFoundError as error:
            raise InputError(f"{file} is missing, but in {place}; unpack the archive again") from error
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"{file} cannot be read as an image; unpack the archive again") from error
        if pixels.shape != (side, side):
            raise InputError(
                f"{file} has {pixels.shape[0]} x {pixels.shape[1]} pixels; pathfinder{side} has {side} x {side}"
            )
        images.append(pixels)
        labels.append(int(line[_LABEL]))
    pixels = np.stack(images) if images else np.empty((0, side, side), np.uint8)
    return {"images": pixels, "labels": np.array(labels, np.int64), "skipped": np.array(skipped, "U")}


def _lines(file: Path) -> list[list[str]]:
    """Return the columns of a list: the Arena's are text, those of the generator itself an array of numpy."""
    content = file.read_bytes()
    if content.startswith(b"\x93NUMPY"):
        try:
            return [[str(value) for value in row] for row in np.load(file, allow_pickle=False)]
        except ValueError as error:
            raise InputError(f"{file} is no array of texts; give the lists that came with the pictures") from error
    return [line.split() for line in content.decode(errors="replace").splitlines() if line.strip()]


def _join(chunks: Sequence[Path], folder: Path) -> None:
    np.save(folder / "skipped.npy", np.concatenate([column(file, "skipped") for file in chunks]))
    join_pictures(None, chunks, folder)
