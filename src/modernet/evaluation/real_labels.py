"""ReaL: the labels that people gave to ImageNet's validation images again, any number of them an image. timm has them.

Source: Beyer, Hénaff, Kolesnikov, Zhai and van den Oord, "Are we done with ImageNet?", arXiv 2006.07159 (2020).
"""

from __future__ import annotations

import re
from typing import NamedTuple

import torch

from modernet.catalogue import imagenet_synsets
from modernet.data import Split
from modernet.data.dataset import short_name
from modernet.errors import InputError
from modernet.evaluation.class_matching import match_classes
from modernet.evaluation.judging import Judged

_IMAGES = 50_000
_FILE = "ILSVRC2012_val_{:08d}.JPEG"
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
        split: images that are named as ImageNet's are, `ILSVRC2012_val_00000001.JPEG`.
        known: the classes of the network.

    Raises:
        InputError: an image has another name, no image has a label, or the network does not have all of ImageNet's
            classes.
    """

    def __init__(self, split: Split, known: tuple[str, ...]) -> None:
        from timm.data.real_labels import RealLabelsImagenet  # timm takes seconds to import

        files = [_FILE.format(number) for number in range(1, _IMAGES + 1)]
        labels = RealLabelsImagenet(files).real_labels  # type: ignore[no-untyped-call]
        names = [_FILE.format(_number(split, position)) for position in range(len(split))]
        number_of = match_classes(known, imagenet_synsets(), "ReaL", quiet=True).numbers
        self._labels = [{number_of[label] for label in labels[name]} for name in names]
        if not any(self._labels):
            raise InputError("ReaL has no label for any of these images; leave out --real")

    def accuracy(self, judged: Judged) -> RealAccuracy:
        """Return the accuracy of what was judged of the split."""
        pairs = zip(judged.predicted.tolist(), self._labels, strict=True)
        right = torch.tensor([predicted in labels for predicted, labels in pairs if labels])
        return RealAccuracy(100 * float(right.double().mean()), len(right))


def _number(split: Split, position: int) -> int:
    """Return the number of an image among those of ImageNet's validation, from 1."""
    name = short_name(split, position)
    match = _VALIDATION_IMAGE.search(name)
    if match is None or not 1 <= int(match[1]) <= _IMAGES:
        raise InputError(
            f"{name} does not say which image of ImageNet's validation it is, as ILSVRC2012_val_00000001.JPEG does; "
            "leave out --real, or give files of such names, which rows of parquet do not have"
        )
    return int(match[1])
