"""The findings of a check of a data set."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from modernet.data.sources.objects import PROBLEMS

KINDS = {
    "unreadable": "images that cannot be read",
    **PROBLEMS,
    "class without objects": "classes that no object has",
    "label map": "label maps that are missing, of another size than their image, or hold what is no class",
    "map without image": "label maps of which there is no image",
    "in two splits": "the same image in two splits: the network is tested on what it learned from",
    "in two classes": "the same image in two classes",
    "look alike": "images of two splits that look the same",
    "odd size": "images much smaller than the others, or very long",
    "dark": "images that are all but black",
    "odd depth": "grey images with more than 8 bits that use another number of them than most",
    "similar classes": "classes whose names differ in case, spacing or a plural s only",
    "class not in split": "classes that a split has no image of",
    "too few images": "classes of which no image can be held out for validation and test; training refuses them",
    "rare class": "classes with less than a hundredth of the images of the largest",
    "empty class folder": "class folders without an image",
    "other files": "files in class folders that are not images",
    "nested folder": "images in folders below a class folder: their class is the upper folder's",
}
"""Every kind of finding and its meaning, in the order of a report."""


@dataclass(frozen=True)
class Finding:
    """One problem.

    Attributes:
        kind: one of `KINDS`.
        subject: the image, class or folder.
        detail: what is wrong with it.
    """

    kind: str
    subject: str
    detail: str


@dataclass(frozen=True)
class Findings:
    """All problems of a data set.

    Attributes:
        images: number of images that were checked.
        splits: a phrase that says where the splits come from.
        found: the problems, by kind.
        objects: number of objects of each class, where the data set has boxes.
        without_objects: number of images without any.
    """

    images: int
    splits: str
    found: tuple[Finding, ...]
    objects: Mapping[str, int] | None = None
    without_objects: int = 0

    def counts(self) -> dict[str, int]:
        """Return the number of findings of each kind that occurs, in the order of `KINDS`."""
        counts = Counter(finding.kind for finding in self.found)
        return {kind: counts[kind] for kind in KINDS if counts[kind]}
