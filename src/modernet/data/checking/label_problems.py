"""Find problems of folders of label maps."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from modernet.data.checking.findings import Finding
from modernet.data.sources.examples import Examples, all_of
from modernet.data.sources.label_layouts import LabelFolder, find_label_folder
from modernet.data.sources.label_maps import image_files, survey_labels
from modernet.data.sources.read import DATASET_NAMES
from modernet.data.targets import NoTargets
from modernet.files.names import valid_text


def find_labels(spec: str) -> LabelFolder | None:
    """Return the folder of images with label maps that `spec` means; None for anything else.

    Raises:
        InputError: it has label maps, but its splits or its list of classes cannot be understood.
    """
    path = Path(spec).expanduser()
    return find_label_folder(path) if spec not in DATASET_NAMES and path.is_dir() else None


def unlabelled(folder: LabelFolder) -> dict[str, Examples]:
    """Return the images of each split alone."""
    order = ("train", "validation", "test")
    files = {
        split: image_files(folder.path, [pair.image for pair in folder.pairs[split]])
        for split in order
        if split in folder.pairs
    }
    return {split: all_of(images, NoTargets(len(images))) for split, images in files.items()}


def label_problems(folder: LabelFolder) -> Iterator[Finding]:
    """Find label maps that are missing, wrong or left over; every map is read."""
    for problem in survey_labels(folder).problems:
        yield Finding("label map", problem.path, problem.reason)
    for path in folder.unused:
        yield Finding("map without image", valid_text(str(path)), "no image has its name")
