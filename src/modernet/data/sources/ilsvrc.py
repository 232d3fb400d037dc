"""ImageNet's validation images in one folder, as they are released, with a file of their labels in it or next to it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np

from modernet.data.images.finding import is_hidden
from modernet.data.sources.assemble import assemble
from modernet.data.sources.examples import Source
from modernet.data.sources.listing import list_images
from modernet.errors import InputError, one_line
from modernet.progress import say

_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})(?:_(n\d{8}))?\.jpe?g", re.IGNORECASE)
_FILES = (
    "val.txt",  # of Caffe
    "ILSVRC2012_val.txt",
    "imagenet_2012_validation_synset_labels.txt",  # of TensorFlow
    "LOC_val_solution.csv",  # of Kaggle
)
_DEVKIT = "ILSVRC2012_validation_ground_truth.txt"
_OF_IMAGE = re.compile(
    r"(?:.*[/\\])?ILSVRC2012_val_(\d{8})(?:_n\d{8})?(?:\.jpe?g)?[\s,]+(n\d{8}|\d{1,4})\b.*", re.IGNORECASE
)
_IN_ORDER = re.compile(r"n\d{8}", re.IGNORECASE)
_WANTED = (
    "val.txt with lines such as ILSVRC2012_val_00000001.JPEG 65, LOC_val_solution.csv of Kaggle, or "
    "imagenet_2012_validation_synset_labels.txt with a synset a line"
)
_OF_THE_KIT = "in the order of ImageNet's development kit, which is not that of networks"
_INDICES = (65, 970, 230, 809, 516, 57, 334, 415, 674, 332)
"""Of the first images: one of them tells other numberings from this one."""


def has_ilsvrc(path: Path) -> bool:
    """Whether a folder has images of ImageNet's validation directly in it, and no folder."""
    with os.scandir(path) as entries:
        shown = [entry for entry in entries if not is_hidden(entry.name)]
    return any(_IMAGE.fullmatch(entry.name) for entry in shown) and not any(entry.is_dir() for entry in shown)


def read_ilsvrc(path: Path) -> Source:
    """Read ImageNet's validation images in one folder, or some of them.

    Labels are in their names where these have a synset (`ILSVRC2012_val_00000001_n01751748.JPEG`), or in the first of
    these files that is in the folder or next to it: lines of an image and its class, an index among ImageNet's 1,000 or
    a synset (`val.txt`, `LOC_val_solution.csv`), or a synset for each image, in order
    (`imagenet_2012_validation_synset_labels.txt`). Classes are called as there. The numbers of ImageNet's development
    kit are refused, which has the classes in an order that no network has, and so are numbers from 1 to 1,000.

    Raises:
        InputError: there is no such file, one of its lines is broken or contradicts another one, it numbers the classes
            in another way, or an image has no label in it.
    """
    images = list_images(path)
    found = {index: match for index in range(len(images)) if (match := _IMAGE.fullmatch(images.identity(index)))}
    if len(found) < len(images):
        left = len(images) - len(found)
        say(f"{left} of {len(images)} images in {path} have no name of ImageNet's validation; they are not used")
    images = images.take(np.array(list(found)))
    if all(match[2] for match in found.values()):
        labels = [match[2].lower() for match in found.values()]
    else:
        file = _label_file(path)
        known = _labels(file)
        labels = []
        for position, match in enumerate(found.values()):
            if int(match[1]) not in known:
                raise InputError(f"{images.name(position)} has no label in {file}; add it, or remove the image")
            labels.append(known[int(match[1])])
    return assemble(
        path,
        {"validation": labels},
        lambda split: (images, None),
        name_of=lambda split, index: images.name(index),
        classes=None,
    )


def _label_file(path: Path) -> Path:
    folders = dict.fromkeys((path, path.absolute().parent, path.resolve().parent))  # the folder may be a link
    for file in (folder / name for folder in folders for name in _FILES):
        if file.is_file():
            return file
    why = f"{path} has images of ImageNet's validation without a file of their labels"
    for file in (folder / _DEVKIT for folder in folders):
        if file.is_file():
            why = f"{file} numbers the classes {_OF_THE_KIT}"
    raise InputError(f"{why}; put {_WANTED}, into the folder or next to it")


def _labels(file: Path) -> dict[int, str]:
    """Return the class of each image, by its number."""
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {file}: {one_line(error)}; give {_WANTED}") from error
    labels: dict[int, str] = {}
    for number, line in enumerate(lines, 1):
        text = line.strip()
        match = _OF_IMAGE.fullmatch(text)
        if match is not None:
            image, label = int(match[1]), match[2].lower() if match[2][0] in "nN" else str(int(match[2]))
            if labels.setdefault(image, label) != label:
                raise InputError(f"{file}, line {number}, has image {image} again, as {label}; keep one")
        elif _IN_ORDER.fullmatch(text):
            labels[number] = text.lower()
        elif text.isdecimal():
            raise InputError(f"{file}, line {number}, is {text!r} alone, as if {_OF_THE_KIT}; give {_WANTED}")
        elif text and not (number == 1 and file.suffix == ".csv"):
            raise InputError(f"{file}, line {number}, is {text!r}; give {_WANTED}")
    _check_indices(file, labels)
    return labels


def _check_indices(file: Path, labels: dict[int, str]) -> None:
    """Check that indices are those of networks, as far as images show it whose class is known."""
    for image, label in labels.items():
        if label.isdecimal() and int(label) > 999:
            raise InputError(f"{file} has the class {label} for image {image}; give indices from 0 to 999, or synsets")
    for image, index in enumerate(_INDICES, 1):
        label = labels.get(image, "")
        if label.isdecimal() and int(label) != index:
            from_one = int(label) == index + 1
            how = "from 1 on" if from_one else "in another order than networks, perhaps that of its development kit"
            remedy = "subtract 1 from each" if from_one else f"give {_WANTED}"
            raise InputError(f"{file} numbers the classes {how}: image {image} is {index}, not {label}; {remedy}")
