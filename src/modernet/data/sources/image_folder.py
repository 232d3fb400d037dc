"""Image folders: a folder of images per class."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from modernet.data.images.finding import has_folders, is_hidden
from modernet.data.sources.examples import Examples, Source, all_of, labelled
from modernet.data.sources.ilsvrc import has_ilsvrc
from modernet.data.sources.listing import Listing, list_classes, list_images
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.data.targets import NoTargets
from modernet.errors import InputError
from modernet.files.names import valid_text


def read_image_folder(path: Path, *, to_learn: bool = True) -> Source:
    """Read `class/image`, or the same below `train/`, `val/` (`valid/`, `validation/`) and `test/`.

    Classes are the folders of the training split in alphabetical order. Images may lie deeper inside a class, also in
    folders that are links; hidden files and files of other kinds are skipped. The list of many images is cached
    (`listing.py`).

    Args:
        to_learn: whether a network is to learn from it. If not, it needs no `train/`, classes are the folders of any
            split, and those without images do not count.

    Raises:
        InputError: no or empty class folders, a second folder for one split, or a class that is not in train.
    """
    folders = split_folders(path, to_learn=to_learn)
    listings = {split: list_classes(folder) for split, folder in folders.items()}
    if to_learn:
        classes = listings["train"].class_folders
    else:
        listings = {split: _without_empty(listing) for split, listing in listings.items()}
        classes = tuple(sorted({name for listing in listings.values() for name in listing.class_folders}))
    splits = {split: _examples(folders[split], listing, classes) for split, listing in listings.items()}
    names = tuple(map(valid_text, classes))
    return Source(path, names, splits.get("train"), splits.get("validation"), splits.get("test"))


def read_unlabelled_folder(path: Path, *, to_learn: bool = True) -> Source:
    """Read every image below a folder, or below its `train/`, `val/` and `test/`, whatever the folders below.

    Args:
        to_learn: whether a network is to learn from it. If not, it needs no `train/`.

    Raises:
        InputError: no image, a second folder for one split, or splits without train.
    """
    splits: dict[str, Examples] = {}
    for split, folder in split_folders(path, to_learn=to_learn).items():
        images = list_images(folder)
        if not len(images):
            raise InputError(f"there is no image in {folder}; put some in it")
        splits[split] = all_of(images, NoTargets(len(images)))
    return Source(path, (), splits.get("train"), splits.get("validation"), splits.get("test"))


def split_folders(path: Path, *, to_learn: bool = True) -> dict[str, Path]:
    """Return the folder of each split of an image folder: `train/`, `val/`, `test/`, or the folder itself as train.

    Names that contain such a word among others, as `train_images/`, are splits where all do; but not where several
    would be the same one and hold images, no folders: `freight_train/` and `passenger_train/` are classes.

    Raises:
        InputError: a second folder for one split, or `to_learn` and splits without train.
    """
    folders = sorted(entry for entry in path.iterdir() if entry.is_dir() and not is_hidden(entry.name))
    meant = [split_of(folder.name) for folder in folders]
    distinct = len(set(meant)) == len(meant) or any(map(has_folders, folders))
    only_splits = all(meant) and distinct  # else `bullet_train` is a class among others
    given: dict[str, Path] = {}
    for folder in folders:
        split = split_of(folder.name) if only_splits or is_split_word(folder.name) else None
        if split is None:
            continue
        if split in given:
            raise InputError(f"{path} has two folders for {split}, {given[split].name}/ and {folder.name}/; keep one")
        given[split] = folder
    if "train" in given:
        return given
    if given and len(given) == len(folders):
        if not to_learn:
            return given
        raise InputError(f"{path} has {', '.join(f'{folder.name}/' for folder in given.values())} but no train/")
    return {"train": path}


def _examples(folder: Path, listing: Listing, classes: tuple[str, ...]) -> Examples:
    if not listing.class_folders:
        alone = f", or give --data {folder}, ImageNet's validation images alone" if has_ilsvrc(folder) else ""
        raise InputError(f"there is no class folder in {folder}; put images in a folder for each class{alone}")
    number = {name: label for label, name in enumerate(classes)}
    counts = np.bincount(listing.class_of, minlength=len(listing.class_folders))
    for name, count in zip(listing.class_folders, counts, strict=True):
        if name not in number:
            raise InputError(
                f"{folder / name} is not a class of train, which has {len(classes)}, such as {classes[0]!r}"
            )
        if not count:
            raise InputError(f"there is no image in the class folder {folder / name}; add some, or remove the folder")
    labels = np.array([number[name] for name in listing.class_folders], dtype=np.int64)
    return labelled(listing.images, labels[listing.class_of])


def _without_empty(listing: Listing) -> Listing:
    """Return a listing without the class folders that have no image."""
    used, class_of = np.unique(listing.class_of, return_inverse=True)
    return listing._replace(class_folders=tuple(listing.class_folders[number] for number in used), class_of=class_of)
