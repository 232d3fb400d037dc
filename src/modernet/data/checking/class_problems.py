"""Find problems of the classes of a data set, without reading an image."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modernet.data.checking.findings import Finding
from modernet.data.images.finding import files_below, is_image
from modernet.data.sources.listing import Listing

_RARE = 100  # times fewer images than the largest class
_SHORTEST_PLURAL = 4  # characters: "gas" and "ga" are two things


def class_problems(classes: Sequence[str], counts: Mapping[str, NDArray[np.int64]]) -> Iterator[Finding]:
    """Find similar names, classes that are missing in a split, and rare classes.

    Args:
        counts: for each given split, the number of images of each class.
    """
    alike: dict[str, list[str]] = {}
    for name in classes:
        alike.setdefault(_plain(name), []).append(name)
    for names in alike.values():
        if len(names) > 1:
            first, *others = (repr(name) for name in names)
            yield Finding("similar classes", " ".join(others), f"similar to {first}; if they are one class, merge them")
    for split, of_class in counts.items():
        for label in np.flatnonzero(of_class == 0).tolist():
            elsewhere = ", ".join(f"{other} has {n[label]}" for other, n in counts.items() if n[label])
            if elsewhere:
                yield Finding("class not in split", classes[label], f"{split} has no image of it, {elsewhere}")
    total = np.sum([*counts.values()], axis=0)
    for label in np.flatnonzero((total > 0) & (total * _RARE < total.max())).tolist():
        largest = int(total.argmax())
        yield Finding("rare class", classes[label], f"{total[label]} images; {classes[largest]} has {total[largest]}")


def small_classes(classes: Sequence[str], counts: Mapping[str, NDArray[np.int64]]) -> Iterator[Finding]:
    """Find classes with too few training images to hold some of each out for the splits that are not given.

    Args:
        counts: as of `class_problems`.
    """
    needed = 1 + len({"validation", "test"} - {*counts})
    of_train = counts.get("train", np.zeros(len(classes), dtype=np.int64))
    for label in np.flatnonzero((of_train > 0) & (of_train < needed)).tolist():
        few = f"{of_train[label]}; to hold out the splits that are missing takes {needed}"
        yield Finding("too few images", classes[label], few)


def folder_problems(folder: Path, listing: Listing) -> Iterator[Finding]:
    """Find class folders without images, other files in them, and images in folders below them."""
    counts = np.bincount(listing.class_of, minlength=len(listing.class_folders))
    used = {listing.images.parents[number] for number in np.unique(listing.images.parent_of).tolist()}
    for name, count in zip(listing.class_folders, counts.tolist(), strict=True):
        path = folder / name
        if not count:
            yield Finding("empty class folder", str(path), "no image in it")
        others = [file for file in files_below(path) if not is_image(file)]
        if others:
            yield Finding("other files", str(path), f"{len(others)}, such as {others[0].relative_to(path)}")
        below = sorted(parent for parent in used if parent.startswith(f"{name}/"))
        if below:
            yield Finding("nested folder", str(path), f"images are in {len(below)} below it, such as {below[0]}")


def _plain(name: str) -> str:
    """Return a name without case, spacing and the s of a plural."""
    plain = re.sub(r"[\W_]+", "", name.casefold())
    return plain[:-1] if plain.endswith("s") and len(plain) >= _SHORTEST_PLURAL else plain
