"""Build a `Source` from labels as files store them, integers or names: the last step of the readers."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modernet.data.images.collection import Images
from modernet.data.sources.examples import Examples, Source, labelled
from modernet.errors import InputError
from modernet.progress import say

_INTEGER = re.compile(r"-?[0-9]+")
_HIDDEN = -1  # the Hub's label of a test image whose label is not published


def assemble(
    where: Path | str,
    labels: Mapping[str, Sequence[int | str]],
    images_of: Callable[[str], tuple[Images, NDArray[np.int64] | None]],
    *,
    name_of: Callable[[str, int], str],
    classes: tuple[str, ...] | None,
) -> Source:
    """Build a source from the labels of each split.

    Args:
        where: the name of the data set in messages.
        labels: split -> the label of each image as stored: an index into the classes, or a class name. A test split
            whose labels are all -1 is dropped.
        images_of: split -> its images, and the shard of each (see `Examples.shards`). Called only once the labels of
            the split are known to be valid, since it may copy or convert files.
        name_of: split, position -> the name of an image in messages.
        classes: the class names; None derives them from the labels, of training where there are any: names in
            alphabetical order, or by number if all are integers; or `"0"` to the largest index.

    Raises:
        InputError: a label is not one of the classes, or there are no other images than those with hidden labels.
    """
    kept = {split: values for split, values in labels.items() if not _hidden(split, values)}
    if len(kept) < len(labels):
        say(f"the labels of {where}'s test split are hidden; it is not used")
    if not kept:
        raise InputError(f"{where} has no label but hidden ones; give images whose classes are known")
    if classes is None:
        classes = classes_of(kept["train"] if "train" in kept else [label for each in kept.values() for label in each])
    splits: dict[str, Examples] = {}
    for split, values in kept.items():
        indices = as_indices(values, classes, functools.partial(name_of, split))
        images, shards = images_of(split)
        splits[split] = labelled(images, indices, shards)
    return Source(where, classes, splits.get("train"), splits.get("validation"), splits.get("test"))


def _hidden(split: str, labels: Sequence[int | str]) -> bool:
    return split == "test" and len(labels) > 0 and all(str(label) == str(_HIDDEN) for label in labels)


def classes_of(labels: Sequence[int | str]) -> tuple[str, ...]:
    """Return the classes that labels have: names in alphabetical order, or by number if all are integers; or `"0"`
    to the largest index.
    """
    numbers = [label for label in labels if isinstance(label, int)]
    if numbers:
        return tuple(str(label) for label in range(max(numbers) + 1))
    names = {str(label) for label in labels}
    by_number = all(_INTEGER.fullmatch(name) for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if by_number else 0, name)))


def as_indices(labels: Sequence[int | str], classes: tuple[str, ...], name: Callable[[int], str]) -> NDArray[np.int64]:
    """Return the index of each label into the classes, int64 (n,).

    Args:
        name: the name of each example in messages.

    Raises:
        InputError: a label is not one of the classes.
    """
    index = {name: number for number, name in enumerate(classes)}
    indices = [index.get(label, -1) if isinstance(label, str) else label for label in labels]
    for position, number in enumerate(indices):
        if not 0 <= number < len(classes):
            raise InputError(
                f"{name(position)} has the label {labels[position]!r}; there are {len(classes)} classes, "
                f"0 ({classes[0]}) to {len(classes) - 1} ({classes[-1]})"
            )
    return np.array(indices, dtype=np.int64)
