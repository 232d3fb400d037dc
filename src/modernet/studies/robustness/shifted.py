"""Folders of other images of a network's classes: ImageNet-A, -R, -Sketch, -V2, or a user's own."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from modernet.catalogue import imagenet_synsets
from modernet.errors import InputError
from modernet.evaluation.answers import Answers
from modernet.evaluation.robustness.resampling import share_estimates
from modernet.studies.robustness.images import OpenedImages
from modernet.studies.robustness.units import Outcome

SHIFTED_SUITES = ("a", "r", "sketch", "v2")
"""ImageNet-A, -R, -Sketch and -V2, which are folders of images."""

_INDICES = {
    "a": """
    6 11 13 15 17 22 23 27 30 37 39 42 47 50 57 70 71 76 79 89 90 94 96 97 99 105 107 108 110 113 124 125 130
    132 143 144 150 151 207 234 235 254 277 283 287 291 295 298 301 306 307 308 309 310 311 313 314 315 317
    319 323 324 326 327 330 334 335 336 347 361 363 372 378 386 397 400 401 402 404 407 411 416 417 420 425
    428 430 437 438 445 456 457 461 462 470 472 483 486 488 492 496 514 516 528 530 539 542 543 549 552 557
    561 562 569 572 573 575 579 589 606 607 609 614 626 627 640 641 642 643 658 668 677 682 684 687 701 704
    719 736 746 749 752 758 763 765 768 773 774 776 779 780 786 792 797 802 803 804 813 815 820 823 831 833
    835 839 845 847 850 859 862 870 879 880 888 890 897 900 907 913 924 932 933 934 937 943 945 947 951 954
    956 957 959 971 972 980 981 984 986 987 988
    """,
    "r": """
    1 2 4 6 8 9 11 13 22 23 26 29 31 39 47 63 71 76 79 84 90 94 96 97 99 100 105 107 113 122 125 130 132 144
    145 147 148 150 151 155 160 161 162 163 171 172 178 187 195 199 203 207 208 219 231 232 234 235 242 245
    247 250 251 254 259 260 263 265 267 269 276 277 281 288 289 291 292 293 296 299 301 308 309 310 311 314
    315 319 323 327 330 334 335 337 338 340 341 344 347 353 355 361 362 365 366 367 368 372 388 390 393 397
    401 407 413 414 425 428 430 435 437 441 447 448 457 462 463 469 470 471 472 476 483 487 515 546 555 558
    570 579 583 587 593 594 596 609 613 617 621 629 637 657 658 701 717 724 763 768 774 776 779 780 787 805
    812 815 820 824 833 847 852 866 875 883 889 895 907 928 931 932 933 934 936 937 943 945 947 948 949 951
    953 954 957 963 965 967 980 981 983 988
    """,
}
IMAGENET_SUBSETS = {name: tuple(map(int, indices.split())) for name, indices in _INDICES.items()}
"""The 200 classes of ImageNet-A and of ImageNet-R, as indices into ImageNet's 1,000.

Sources: Hendrycks et al., "Natural Adversarial Examples" (2021), and "The Many Faces of Robustness" (2021).
"""


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


def imagenet_subset(synsets: Collection[str]) -> str | None:
    """Return `"a"` or `"r"` if these are the synsets of ImageNet-A or of ImageNet-R; None for any others."""
    return next((name for name in IMAGENET_SUBSETS if set(synsets) == subset_synsets(name)), None)


def subset_synsets(name: str) -> set[str]:
    """Return the synsets of ImageNet-A, `"a"`, or of ImageNet-R, `"r"`."""
    known = imagenet_synsets()
    return {known[index] for index in IMAGENET_SUBSETS[name]}
