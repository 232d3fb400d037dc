"""Find problems of annotation files of boxes: COCO, Pascal VOC and YOLO."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from modernet.data.checking.findings import Finding
from modernet.data.sources.box_folders import find_boxes
from modernet.data.sources.examples import Examples, all_of
from modernet.data.sources.objects import BoxSurvey
from modernet.data.sources.read import DATASET_NAMES
from modernet.progress import say

_ORDER = ("train", "validation", "test")


def survey_objects(spec: str) -> BoxSurvey | None:
    """Read the annotation files of boxes that `spec` means; None if there are none.

    How they were read is said where that is in doubt.

    Raises:
        InputError: a file cannot be used as a whole.
    """
    path = Path(spec).expanduser()
    survey = find_boxes(path) if spec not in DATASET_NAMES and path.exists() else None
    if survey is None:
        return None
    found = survey()
    for note in found.notes:
        say(note)
    return found


def with_objects(survey: BoxSurvey) -> dict[str, Examples]:
    """Return images and objects of each split."""
    found = {name: survey.splits[name] for name in _ORDER if name in survey.splits}
    return {name: all_of(split.images, split.targets) for name, split in found.items()}


def box_problems(survey: BoxSurvey) -> Iterator[Finding]:
    """Find objects, masks and images that are not used as they are listed, and classes without objects."""
    for problem in survey.problems:
        yield Finding(*problem)
    counts: dict[str, int] = objects_of_classes(survey)
    for name, count in counts.items():
        if not count and any(counts.values()):
            yield Finding("class without objects", name, "add some, or remove it from the classes")


def objects_of_classes(survey: BoxSurvey) -> dict[str, int]:
    """Return the number of objects of each class."""
    labels = np.concatenate([split.targets.labels.numpy() for split in survey.splits.values()])
    return dict(zip(survey.classes, np.bincount(labels, minlength=len(survey.classes)).tolist(), strict=True))


def images_of_classes(survey: BoxSurvey) -> dict[str, NDArray[np.int64]]:
    """Return the number of images of each split that have objects of each class."""
    counts = {}
    for name, split in survey.splits.items():
        image = np.repeat(np.arange(len(split.targets)), np.diff(split.targets.offsets))
        pairs = np.unique(np.stack((image, split.targets.labels.numpy())), axis=1)
        counts[name] = np.bincount(pairs[1], minlength=len(survey.classes))
    return counts


def images_without_objects(survey: BoxSurvey) -> int:
    return sum(int((np.diff(split.targets.offsets) == 0).sum()) for split in survey.splits.values())
