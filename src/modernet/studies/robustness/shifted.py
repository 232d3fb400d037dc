"""Folders of other images of a network's classes: ImageNet-A, -R, -Sketch, -V2, or a user's own."""

from __future__ import annotations

import re
from dataclasses import dataclass

import torch
from torch import Tensor

from modernet.data.sources.read import read_source
from modernet.evaluation.answers import Answers
from modernet.evaluation.robustness.resampling import share_estimates
from modernet.studies.robustness.imagenet_subsets import imagenet_subset
from modernet.studies.robustness.units import Outcome


@dataclass(frozen=True)
class Shifted:
    """A folder of other images of a network's classes.

    Attributes:
        path: the folder.
        name: `"a"`, `"r"`, `"sketch"` or `"v2"`, of those data sets; else that of the folder, in the letters of names
            of metrics.
        title: name of the folder.
        subset: whether the network is to choose among the classes of these images alone, as on ImageNet-A and -R.
        n: images in all its splits.
    """

    path: str
    name: str
    title: str
    subset: bool
    n: int

    @staticmethod
    def found(path: str) -> Shifted:
        """Recognise what is in a folder: ImageNet-A and -R by their classes, -Sketch and -V2 by the folder's name.

        Raises:
            InputError: it cannot be read.
        """
        title, source = read_source(path, to_learn=False)
        subset = imagenet_subset(source.classes)
        slug = re.sub(r"\W+", "_", title.lower()).strip("_")
        named = next((name for name in ("sketch", "v2") if name in slug and "imagenet" in slug), slug)
        return Shifted(path, subset or named, title, subset is not None, sum(map(len, source.splits().values())))


def shifted_outcome(shifted: Shifted, answers: Answers, clean: Answers) -> Outcome:
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
