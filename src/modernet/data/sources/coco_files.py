"""Recognise COCO's json files of objects, and what their images are used for."""

from __future__ import annotations

import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from modernet.data.images.finding import is_hidden
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError

_HEAD = 65536  # bytes that are looked at to recognise a file
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_OTHERS = ("captions", "image_info", "panoptic", "person_keypoints", "stuff")  # of COCO's own files
_MOST_FILES = 50  # in a folder


class CocoFile(NamedTuple):
    """A json file.

    Attributes:
        path: its path.
        split: what its images are used for.
        stated: the split that its name or its folder says; None if neither does.
    """

    path: Path
    split: str
    stated: str | None


def find_coco(folder: Path) -> list[CocoFile]:
    """Return the files of objects of a folder, one for each split; none if it has none.

    They are in `annotations/`, in the folder itself, or in its folders for splits.

    Raises:
        InputError: there are several for one split.
    """
    below = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not is_hidden(entry.name)]
    own = [entry for entry in below if entry.name.casefold() == "annotations"]
    files = [file for place in (*own, folder) for file in _jsons(place)]
    found = [_stating(file, split_of(file.stem)) for file in files]
    for place in below:
        if is_split_word(place.name):
            found += [_stating(file, split_of(place.name)) for file in _jsons(place)]
    instances = [file for file in found if file.path.name.startswith("instances")]
    found = instances or found
    for split, count in Counter(file.split for file in found).items():
        if count > 1:
            names = ", ".join(str(file.path.relative_to(folder)) for file in found if file.split == split)
            raise InputError(f"{folder} has several files of objects for {split}: {names}; give one of them as --data")
    return found


def _stating(path: Path, split: str | None) -> CocoFile:
    return CocoFile(path, split or "train", split)


def one_coco(path: Path) -> CocoFile:
    """Return a file that is given alone: it is trained on, whatever it is called."""
    return CocoFile(path, "train", split_of(path.stem) or split_of(path.parent.name))


def _jsons(folder: Path) -> Iterator[Path]:
    files = sorted(islice(folder.glob("*.json"), _MOST_FILES))
    if len(files) == _MOST_FILES:
        return  # one for each image, which is another format
    for file in files:
        if not is_hidden(file.name) and not file.name.startswith(_OTHERS) and file.is_file():
            with file.open("rb") as content:
                head = content.read(_HEAD)
            keys = set(_KEYS.findall(head))
            is_coco = bool(keys) if len(head) == _HEAD else keys >= {b"images", b"annotations"}
            if is_coco and head.removeprefix(BOM_UTF8).lstrip().startswith(b"{"):
                yield file


def folder_of(file: Path) -> Path:
    """Return the folder of the data set that a json file is of."""
    return file.parent.parent if file.parent.name.casefold() == "annotations" else file.parent
