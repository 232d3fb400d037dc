"""Image folders: a folder of pictures for each class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modernet.data.pictures import PictureFiles, is_hidden, pictures_below
from modernet.data.source import SPLIT_NAMES, Labelled, Source, all_of
from modernet.errors import InputError


def read_image_folder(path: Path) -> Source:
    """Read `class/picture`, or the same below `train/`, `val/` (`valid/`, `validation/`) and `test/`.

    Classes are the folders of the training split in alphabetical order. Pictures may lie deeper inside a class; hidden
    files and files of other kinds are passed over.

    Raises:
        InputError: no or empty class folders, a second folder for one split, or a class that is not in train.
    """
    folders = _folders(path)
    given: dict[str, Path] = {}
    for folder in folders:
        split = SPLIT_NAMES.get(folder.name.lower())
        if split is None:
            continue
        if split in given:
            raise InputError(f"{path} has two folders for {split}, {given[split].name}/ and {folder.name}/; keep one")
        given[split] = folder
    if "train" not in given:
        if given and len(given) == len(folders):
            raise InputError(f"{path} has {', '.join(f'{folder.name}/' for folder in given.values())} but no train/")
        given = {"train": path}
    classes = tuple(folder.name for folder in _folders(given["train"]))
    splits = {split: _read_split(folder, classes) for split, folder in given.items()}
    return Source(path, classes, splits["train"], splits.get("validation"), splits.get("test"))


def _read_split(folder: Path, classes: tuple[str, ...]) -> Labelled:
    paths: list[Path] = []
    labels: list[int] = []
    for class_folder in _folders(folder):
        if class_folder.name not in classes:
            raise InputError(
                f"{class_folder} is a class that train has not; it has {len(classes)}, such as {classes[0]!r}"
            )
        found = pictures_below(class_folder)
        if not found:
            raise InputError(f"there is no picture in the class folder {class_folder}; add some, or remove the folder")
        paths += found
        labels += [classes.index(class_folder.name)] * len(found)
    if not paths:
        raise InputError(f"there is no class folder in {folder}; put pictures in a folder for each class")
    return all_of(PictureFiles(paths, folder), np.array(labels))


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not is_hidden(entry.name))
