"""Recognise and read data sets of boxes: COCO, Pascal VOC and YOLO."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from itertools import combinations
from pathlib import Path

import numpy as np

from modernet.data.images.files import ImageFiles
from modernet.data.sources.coco import survey_coco
from modernet.data.sources.coco_files import find_coco, folder_of, one_coco
from modernet.data.sources.examples import Source, all_of
from modernet.data.sources.objects import BoxSurvey, Problem
from modernet.data.sources.voc import find_voc, survey_voc
from modernet.data.sources.yolo import survey_yolo
from modernet.data.sources.yolo_folder import find_data_yaml, find_yolo, read_data_yaml
from modernet.errors import InputError

BOX_LAYOUTS = (
    "COCO's json files (in annotations/, next to the images, or in train/ and valid/), Pascal VOC's xml files (in "
    "Annotations/ or next to the images), YOLO's data.yaml, or images/ with labels/"
)
_ORDER = ("train", "validation", "test")

SurveyBoxes = Callable[[], BoxSurvey]
"""Reads all annotation files of a data set. Raises `InputError` if one cannot be used as a whole."""


def find_boxes(path: Path) -> SurveyBoxes | None:
    """Recognise a data set of boxes, given its folder, a json file of COCO's form, or a data.yaml; None for others.

    Raises:
        InputError: it is one, but cannot be used.
    """
    survey = _find(path)
    return None if survey is None else lambda: _apart(survey())


def _find(path: Path) -> SurveyBoxes | None:
    if path.is_file():
        if path.suffix.lower() == ".json":
            return partial(survey_coco, folder_of(path), [one_coco(path)])
        if path.suffix.lower() in (".yaml", ".yml"):
            return partial(survey_yolo, read_data_yaml(path))
        return None
    if files := find_coco(path):
        return partial(survey_coco, path, files)
    voc = find_voc(path)
    if voc is not None and (voc.annotations != path or find_data_yaml(path) is None):
        return partial(survey_voc, voc)  # but for loose xml files next to a data.yaml, such as CVAT's annotations.xml
    if yolo := find_yolo(path):
        return partial(survey_yolo, yolo)
    return None


def _apart(survey: BoxSurvey) -> BoxSurvey:
    """Leave images out of a split that a later one has, too; out of the later one where nothing else would be left."""
    splits, problems, notes = dict(survey.splits), list(survey.problems), list(survey.notes)
    for first, later in combinations([split for split in _ORDER if split in splits], 2):
        if first not in splits or later not in splits:
            continue
        files = {split: _files(splits[split].images) for split in (first, later)}
        both = set(files[first]).intersection(files[later])
        loses, keeps = (later, first) if both.issuperset(files[first]) else (first, later)
        if both.issuperset(files[loses]):
            notes.append(f"{loses} has no images but those of {keeps}; it is not used")
            del splits[loses]
        elif both:
            shared = np.array([file in both for file in files[loses]])
            images = splits[loses].images
            reason = f"left out of {loses}, since {keeps} has it, too"
            problems += [Problem("shared image", images.name(i), reason) for i in np.flatnonzero(shared).tolist()]
            splits[loses] = splits[loses].take(np.flatnonzero(~shared))
    return replace(survey, splits=splits, problems=tuple(problems), notes=tuple(notes))


def _files(images: ImageFiles) -> list[str]:
    """Return the path of each image without links."""
    folders = [os.path.realpath(images.folder / parent) for parent in images.parents]
    names = [os.fsdecode(name) for name in images.names.to_pylist()]
    paths = [f"{folders[number]}/{name}" for number, name in zip(images.parent_of.tolist(), names, strict=True)]
    return [os.path.realpath(path) if os.path.islink(path) else path for path in paths]  # noqa: PTH114 - a million times


def read_boxes(path: Path) -> Source:
    """Read a data set of boxes, as `find_boxes` recognises it, and say what is wrong with it.

    What is wrong with single objects drops them (`objects.targets_of`); nothing of it stops a training.

    Raises:
        InputError: it is no such data set, or a file cannot be used as a whole.
    """
    survey = find_boxes(path)
    if survey is None:
        raise InputError(f"{path} has no boxes; known are {BOX_LAYOUTS}")
    found = survey()
    found.say()
    splits = {name: all_of(split.images, split.targets) for name, split in found.splits.items()}
    return Source(found.path, found.classes, splits.get("train"), splits.get("validation"), splits.get("test"))
