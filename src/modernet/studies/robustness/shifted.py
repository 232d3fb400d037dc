"""Folders of other images of a network's classes: ImageNet-A, -R, -Sketch, -V2, or a user's own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modernet.errors import InputError
from modernet.evaluation.answers import Answers
from modernet.evaluation.robustness.resampling import share_estimates
from modernet.studies.robustness.imagenet_subsets import IMAGENET_SUBSETS, imagenet_subset, subset_synsets
from modernet.studies.robustness.images import OpenedImages
from modernet.studies.robustness.units import Outcome

SHIFTED_SUITES = ("a", "r", "sketch", "v2")
"""ImageNet-A, -R, -Sketch and -V2, which are folders of images."""


@dataclass(frozen=True)
class ShiftedImages:
    """A folder of other images of a network's classes.

    Attributes:
        images: the images.
        name: `"a"`, `"r"`, `"sketch"` or `"v2"`, of those data sets; of others, `"shifted_"` and the name of the folder
            in the letters of names of metrics.
        subset: whether the network is to choose among the classes of these images alone, as on ImageNet-A and -R.
    """

    images: OpenedImages
    name: str
    subset: bool

    @staticmethod
    def of(images: OpenedImages) -> ShiftedImages:
        """Recognise images: ImageNet-A and -R by the synsets of their classes, -Sketch and -V2 by the folder's name."""
        name = shifted_name(images.opened.name, images.opened.classes)
        return ShiftedImages(images, name, name in IMAGENET_SUBSETS)

    @property
    def title(self) -> str:
        """The name of the folder."""
        return self.images.opened.name


def shifted_name(title: str, classes: Collection[str]) -> str:
    """Return the name of a folder of images in names of metrics; see `ShiftedImages`."""
    subset = imagenet_subset(classes)
    if subset is not None:
        return subset
    slug = re.sub(r"\W+", "_", title.lower()).strip("_")
    known = (name for name in SHIFTED_SUITES if name not in IMAGENET_SUBSETS)
    return next((name for name in known if name in slug and "imagenet" in slug), f"shifted_{slug}")


def check_shifted(suites: Sequence[str], found: Sequence[ShiftedImages]) -> None:
    """Check that every data set among the suites was found in a folder.

    Args:
        found: what is in the folders of `--shifted`.

    Raises:
        InputError: one was not, or two would have metrics of the same name.
    """
    for name, count in Counter(each.name for each in found).items():
        if count > 1:
            raise InputError(f"two folders of --shifted are called {name.removeprefix('shifted_')}; rename one")
        if any(each.name == f"{name}_clean" for each in found):
            raise InputError(f"folders of --shifted are called {name} and {name}_clean, as metrics are; rename one")
    for suite in suites:
        if suite in SHIFTED_SUITES and suite not in [each.name for each in found]:
            raise InputError(
                f"ImageNet-{suite.capitalize()} is not among the folders of --shifted{_described(suite, found)}; add "
                f"its folder, or leave out the suite {suite}"
            )


def _described(suite: str, found: Sequence[ShiftedImages]) -> str:
    """Return what the folders are that are not a suite."""
    if not found:
        return ""
    if suite not in IMAGENET_SUBSETS:
        return f", which are {', '.join(each.title for each in found)}"
    wanted = subset_synsets(suite)
    counts = (f"{len(wanted.intersection(each.images.opened.classes))} in {each.title}" for each in found)
    return f", which do not have the synsets of its {len(wanted)} classes, and no others ({', '.join(counts)})"


def shifted_outcome(shifted: ShiftedImages, answers: Answers, clean: Answers) -> Outcome:
    """Return the accuracy on shifted images, and that on the clean images of the same classes.

    Args:
        answers: for the shifted images.
        clean: for the images of `data`, of any classes, prepared alike.
    """
    classes, known = torch.unique(answers.labels), answers.logits.shape[1]
    clean = clean.take(torch.isin(clean.labels, classes))
    if shifted.subset:
        answers, clean = _among(answers, classes), _among(clean, classes)
    return {
        "kind": "shifted",
        "name": shifted.name,
        "title": shifted.title,
        "classes": len(classes),
        "chosen_among": len(classes) if shifted.subset else known,
        "metrics": {**_top1(shifted.name, answers), **_top1(f"{shifted.name}_clean", clean)},
    }


def _top1(name: str, answers: Answers) -> dict[str, float]:
    """Return the accuracy in per cent, its interval and the number of images; of none, that number alone."""
    n = {f"{name}_n": float(len(answers))}
    if not len(answers):
        return n
    (share,) = share_estimates(answers.correct()[:, None].numpy())
    return {**share.metrics(f"{name}_top1"), **n}


def _among(answers: Answers, classes: Tensor) -> Answers:
    """Return what the answers are if the network is to choose among some classes, in ascending order."""
    return Answers(answers.logits[:, classes], torch.searchsorted(classes, answers.labels))
