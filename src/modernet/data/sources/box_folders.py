"""Recognise and read data sets of boxes: COCO, Pascal VOC and YOLO."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from modernet.data.sources.coco import find_coco, folder_of, one_coco, survey_coco
from modernet.data.sources.examples import Source, all_of
from modernet.data.sources.objects import BoxSurvey
from modernet.data.sources.voc import find_voc, survey_voc
from modernet.data.sources.yolo import find_data_yaml, find_yolo, read_data_yaml, survey_yolo
from modernet.errors import InputError

BOX_LAYOUTS = (
    "COCO's json files (in annotations/, beside the images, or in train/ and valid/), Pascal VOC's xml files (in "
    "Annotations/ or beside the images), YOLO's data.yaml, or images/ with labels/"
)

SurveyBoxes = Callable[[], BoxSurvey]
"""Reads all annotation files of a data set. Raises `InputError` if one cannot be used as a whole."""


def find_boxes(path: Path) -> SurveyBoxes | None:
    """Recognise a data set of boxes, given its folder, a json file of COCO's form, or a data.yaml; None for others.

    Raises:
        InputError: it is one, but cannot be used.
    """
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
        return partial(survey_voc, voc)  # but for loose xml files beside a data.yaml, such as CVAT's annotations.xml
    if yolo := find_yolo(path):
        return partial(survey_yolo, yolo)
    return None


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
