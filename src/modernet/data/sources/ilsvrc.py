"""ImageNet's validation images in one folder, as they are released, with a file of their labels in it or beside it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from modernet.data.sources.assemble import assemble
from modernet.data.sources.examples import Source
from modernet.data.sources.listing import list_images
from modernet.errors import InputError

_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})\.jpe?g", re.IGNORECASE)
_FILES = ("val.txt", "ILSVRC2012_val.txt", "imagenet_2012_validation_synset_labels.txt", "LOC_val_solution.csv")
"""Caffe's, others', TensorFlow's, Kaggle's."""
_DEVKIT = "ILSVRC2012_validation_ground_truth.txt"
_OF_IMAGE = re.compile(r"(ILSVRC2012_val_\d{8})(?:\.jpe?g)?[\s,]+(n\d{8}|\d{1,3})\b.*", re.IGNORECASE)
_IN_ORDER = re.compile(r"n\d{8}")
_WANTED = (
    "val.txt with lines such as ILSVRC2012_val_00000001.JPEG 65, LOC_val_solution.csv of Kaggle, or "
    "imagenet_2012_validation_synset_labels.txt with a synset a line"
)


def has_ilsvrc(path: Path) -> bool:
    """Whether a folder has images of ImageNet's validation directly in it."""
    return any(_IMAGE.fullmatch(entry.name) for entry in path.iterdir())


def read_ilsvrc(path: Path) -> Source:
    """Read ImageNet's validation images in one folder, or some of them.

    Labels are in the first of these files that is in the folder or beside it: lines of an image and its class, an index
    among ImageNet's 1,000 or a synset (`val.txt`, `LOC_val_solution.csv`), or a synset for each image, in order
    (`imagenet_2012_validation_synset_labels.txt`). Classes are called as there. The ids of ImageNet's development kit
    are refused: they number the classes in an order that no network has.

    Raises:
        InputError: there is no such file, one of its lines is broken, or an image has no label in it.
    """
    labels, images = _labels(_label_file(path)), list_images(path)
    numbers = {
        index: int(match[1]) for index in range(len(images)) if (match := _IMAGE.fullmatch(images.identity(index)))
    }
    images = images.take(np.array(list(numbers)))
    for index, number in enumerate(numbers.values()):
        if number not in labels:
            raise InputError(f"{images.name(index)} has no label in {_label_file(path)}; add it, or remove the image")
    return assemble(
        path,
        {"validation": [labels[number] for number in numbers.values()]},
        lambda split: (images, None),
        name_of=lambda split, index: images.name(index),
        classes=None,
    )


def _label_file(path: Path) -> Path:
    folders = (path, path.resolve().parent)
    for file in (folder / name for folder in folders for name in _FILES):
        if file.is_file():
            return file
    why = f"{path} has images of ImageNet's validation without a file of their labels"
    for file in (folder / _DEVKIT for folder in folders):
        if file.is_file():
            why = (
                f"{file} numbers the classes in the order of ImageNet's development kit, which is not that of networks"
            )
    raise InputError(f"{why}; put {_WANTED}, into the folder or beside it")


def _labels(file: Path) -> dict[int, str]:
    """Return the class of each image, by its number."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {error}; give {_WANTED}") from error
    labels: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        match = _OF_IMAGE.fullmatch(text)
        if match is not None:
            labels[int(match[1][-8:])] = match[2] if match[2].startswith("n") else str(int(match[2]))
        elif _IN_ORDER.fullmatch(text):
            labels[number] = text
        elif text and not (number == 1 and file.suffix == ".csv"):
            raise InputError(f"{file}, line {number}, is {text!r}; give {_WANTED}")
    return labels
