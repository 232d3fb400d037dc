"""ReaL: the labels that people gave to ImageNet's validation images again, any number of them an image.

Source: Beyer, Hénaff, Kolesnikov, Zhai and van den Oord, "Are we done with ImageNet?", arXiv 2006.07159 (2020).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import torch

from modernet.catalogue import imagenet_synsets
from modernet.data import Split
from modernet.data.dataset import short_name
from modernet.errors import InputError, one_line
from modernet.evaluation.class_matching import match_classes
from modernet.evaluation.judging import Judged

_IMAGES = 50_000
_VALIDATION_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})")


class RealAccuracy(NamedTuple):
    """Accuracy by the ReaL labels."""

    top1: float
    """Share of images whose predicted class is one of their labels, in per cent."""
    n: int
    """Number of images with a label; the others do not count."""


class RealLabels:
    """The ReaL labels of a split of ImageNet's validation images, for a network.

    Args:
        path: `real.json`, a list of labels for each of the 50,000 images, in their order.
        split: images that are named as ImageNet's are, `ILSVRC2012_val_00000001.JPEG`.
        known: the classes of the network.

    Raises:
        InputError: the file is no such list, an image has another name, no image has a label, or the network does not
            have all of ImageNet's classes.
    """

    def __init__(self, path: Path, split: Split, known: tuple[str, ...]) -> None:
        labels = read_real_labels(path)
        numbers = [_number(split, position) for position in range(len(split))]
        number_of = match_classes(known, imagenet_synsets(), "ReaL", quiet=True).numbers
        self._labels = [{number_of[label] for label in labels[number]} for number in numbers]
        if not any(self._labels):
            raise InputError(f"{path} has no label for any of these images; leave out --real")

    def accuracy(self, judged: Judged) -> RealAccuracy:
        """Return the accuracy of what was judged of the split."""
        pairs = zip(judged.predicted.tolist(), self._labels, strict=True)
        right = torch.tensor([predicted in labels for predicted, labels in pairs if labels])
        return RealAccuracy(100 * float(right.double().mean()), len(right))


def read_real_labels(path: Path) -> list[list[int]]:
    """Read the labels of each of the 50,000 images.

    Raises:
        InputError: the file cannot be read, or is no such list.
    """
    try:
        labels = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"cannot read the ReaL labels {path}: {one_line(error)}; give real.json") from error
    if not isinstance(labels, list) or len(labels) != _IMAGES or not all(map(_are_labels, labels)):
        raise InputError(f"{path} is no list of {_IMAGES:,} lists of labels from 0 to 999; give real.json of ReaL")
    return labels


def _are_labels(labels: object) -> bool:
    return isinstance(labels, list) and all(type(label) is int and 0 <= label < 1000 for label in labels)


def _number(split: Split, position: int) -> int:
    """Return the index of an image among those of ImageNet's validation."""
    name = short_name(split, position)
    match = _VALIDATION_IMAGE.search(name)
    if match is None or not 1 <= int(match[1]) <= _IMAGES:
        raise InputError(
            f"{name} does not say which image of ImageNet's validation it is, as ILSVRC2012_val_00000001.JPEG does; "
            "leave out --real, or give files of such names, which rows of parquet do not have"
        )
    return int(match[1]) - 1
