"""Read Pascal VOC's xml files, one for each image, and what labelling tools write in their form."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from modernet.data.images.finding import files_below, some_names
from modernet.data.sources.objects import (
    BoxSplit,
    BoxSurvey,
    Floats,
    ImageIndex,
    Objects,
    Problem,
    targets_of,
    true_sizes,
)
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text
from modernet.progress import track

_FOLDERS = ("Annotations", "annotations")
_IMAGE_FOLDERS = ("JPEGImages", "images", "Images")
_SETS = {"train": ("train", "trainval"), "validation": ("val",), "test": ("test",)}
_FLAG = re.compile(r"\s+(1|0|-1)$")  # behind the names in a list: whether the image has a class, or may have it
_CORNERS = ("xmin", "ymin", "xmax", "ymax")


@dataclass(frozen=True, eq=False)
class VocFolder:
    """Xml files of each split.

    Attributes:
        path: the folder of the data set.
        annotations: the folder with all xml files, below which they may be in others.
        images: that of all images.
        files: of each split.
        notes: what is not used.
    """

    path: Path
    annotations: Path
    images: Path
    files: Mapping[str, tuple[Path, ...]]
    notes: tuple[str, ...]


def find_voc(folder: Path) -> VocFolder | None:
    """Recognise a folder with `Annotations/`, or with xml files next to images; None for anything else.

    Splits are those of `ImageSets/Main`, or folders called train, val, test.
    """
    own = next((place for name in _FOLDERS if _has_xml(place := folder / name)), None)
    images = next((place for name in _IMAGE_FOLDERS if (place := folder / name).is_dir()), folder)
    if own is not None:
        files = [file for file in files_below(own) if file.suffix.lower() == ".xml"]
        sets, notes = _image_sets(folder / "ImageSets" / "Main", {file.stem: file for file in files})
        return VocFolder(folder, own, images, sets or _by_folder(own, files), notes)
    below = [place for name in some_names(folder) if is_split_word(name) and _has_xml(place := folder / name)]
    if not below and not _has_xml(folder):
        return None
    files = [file for place in below or [folder] for file in sorted(place.glob("*.xml"))]
    return VocFolder(folder, folder, images, _by_folder(folder, files), ())


def _has_xml(folder: Path) -> bool:
    names = some_names(folder)
    return any(name.endswith(".xml") for name in names) or (
        folder.name in _FOLDERS and any(name.endswith(".xml") for below in names for name in some_names(folder / below))
    )


def _image_sets(folder: Path, files: Mapping[str, Path]) -> tuple[dict[str, tuple[Path, ...]], tuple[str, ...]]:
    """Return the files of each split that is listed, and what is wrong with the lists."""
    sets: dict[str, tuple[Path, ...]] = {}
    notes = []
    for split, names in _SETS.items():
        listed = next((file for name in names if (file := folder / f"{name}.txt").is_file()), None)
        if listed is None:
            continue
        lines = listed.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        wanted = dict.fromkeys(_listed_name(line, files) for line in lines if line.strip())
        found = tuple(files[name] for name in wanted if name in files)
        if len(found) < len(wanted):
            missing = next(name for name in wanted if name not in files)
            missed = f"{len(wanted) - len(found)} of {len(wanted)} images, such as {missing}"
            notes.append(f"{listed.name}: without an annotation file, so not used: {missed}")
        if found:
            sets[split] = found
    unlisted = len(set(files.values()).difference(*sets.values()))
    if sets and unlisted:
        notes.append(f"in no list of ImageSets/Main, so not used: {unlisted} of {len(files)} annotation files")
    return sets, tuple(map(valid_text, notes))


def _listed_name(line: str, files: Mapping[str, Path]) -> str:
    name = line.strip()
    return (name if name in files else _FLAG.sub("", name)).removesuffix(".jpg")


def _by_folder(root: Path, files: Iterable[Path]) -> dict[str, tuple[Path, ...]]:
    """Sort files by the split that the first folder on the way to each names; train if none does."""
    found: dict[str, list[Path]] = {}
    for file in files:
        parts = file.relative_to(root).parts
        found.setdefault((split_of(parts[0]) if len(parts) > 1 else None) or "train", []).append(file)
    return {split: tuple(sorted(each)) for split, each in found.items()}


class _Object(NamedTuple):
    place: str
    name: str
    corners: tuple[float, ...]
    """As stored; NaN for what is no number."""
    difficult: bool


class _File(NamedTuple):
    path: Path
    filename: str
    size: tuple[int, int]
    """Height and width as stated, 0 where they are not."""
    objects: list[_Object]


def survey_voc(folder: VocFolder) -> BoxSurvey:
    """Read every xml file.

    Corners are pixels from 1 to the last, which belongs to the box: x1 - 1, y1 - 1, x2, y2 here, where right and
    bottom edges are exclusive. Where a corner of the set is 0, some tool counted from 0, and nothing is subtracted.
    Difficult objects are as crowds: not learned from, and no error where they are found.

    Raises:
        InputError: none of the images is there.
    """
    problems: list[Problem] = []
    notes = [*folder.notes]
    read: dict[str, list[_File]] = {}
    for split, paths in folder.files.items():
        found = [_read(path) for path in track(paths, f"reading the objects of {folder.path}", len(paths))]
        problems += [file for file in found if isinstance(file, Problem)]
        if readable := [file for file in found if isinstance(file, _File)]:
            read[split] = readable
    if not read:
        raise InputError(
            f"{problems[0].where}: {problems[0].reason}; so are all {len(problems)} files of {folder.path}"
        )
    everything = [each for files in read.values() for file in files for each in file.objects]
    classes = tuple(sorted({each.name for each in everything if each.name}))
    shift = 1.0
    zero = next((each for each in everything if _counts_from_0(each.corners)), None)
    if zero is not None:
        shift = 0.0
        notes.append(f"corners are pixels counted from 0, as in {zero.place}; VOC's own begin at 1")
    index = ImageIndex(folder.images)
    splits: dict[str, BoxSplit] = {}
    for split, files in read.items():
        splits[split], wrong = _split(index, folder, files, classes, shift)
        problems += wrong
    images = {index.files.identity(i) for i in range(len(index.files))}
    used = {split.images.identity(i) for split in splits.values() for i in range(len(split.images))}
    if not folder.notes and len(used) < len(images):
        missed = f"{len(images) - len(used)} of {len(images)} images"
        notes.append(f"without an annotation file, so not used: {missed}")
    return BoxSurvey(folder.path, classes, splits, tuple(problems), tuple(notes))


def _counts_from_0(corners: Sequence[float]) -> bool:
    left, top, right, bottom = corners
    return min(left, top) == 0 and left < right and top < bottom


def _split(
    index: ImageIndex,
    folder: VocFolder,
    files: Sequence[_File],
    classes: Sequence[str],
    shift: float,
) -> tuple[BoxSplit, list[Problem]]:
    indices: dict[int, int] = {}
    problems: list[Problem] = []
    stated: list[tuple[int, int]] = []
    found: list[tuple[int, _Object]] = []
    number = {name: label for label, name in enumerate(classes)}
    for file in files:
        name = valid_text(str(file.path))
        image = _image(index, folder, file)
        if image is None or image in indices:
            other = "its image has another annotation file, which is used"
            reason = other if image is not None else f"there is no image {file.path.stem} in {index.folder}"
            problems.append(Problem("missing image", name, reason))
            continue
        indices[image] = len(indices)
        stated.append(file.size)
        for each in file.objects:
            if each.name:
                found.append((indices[image], each))
            else:
                problems.append(Problem("object", each.place, "it has no name; write that of its class"))
    if not indices:
        raise InputError(
            f"none of the images of {folder.path} is in {index.folder}, such as that of {files[0].path.name}"
        )
    images = index.files.take(np.array(list(indices)))
    sizes, wrong_sizes = true_sizes(images, np.array(stated))
    corners: Floats = np.array([each.corners for _, each in found], dtype=np.float64).reshape(-1, 4)
    objects = Objects(
        image=np.array([image for image, _ in found], dtype=np.int64),
        labels=np.array([number[each.name] for _, each in found], dtype=np.int64),
        boxes_xyxy=corners - (shift, shift, 0, 0),
        crowd=np.array([each.difficult for _, each in found], dtype=bool),
        areas=np.full(len(found), np.nan),
        masks=[None] * len(found),
        place=lambda position: found[position][1].place,
    )
    ids = np.arange(1, len(images) + 1)
    targets, dropped = targets_of(objects, sizes, ids, tuple(range(1, len(classes) + 1)))
    return BoxSplit(images, targets), [*problems, *wrong_sizes, *dropped]


def _image(index: ImageIndex, folder: VocFolder, file: _File) -> int | None:
    """Return the index of the image of a file: that of its own name, or else of the name in it, whatever its suffix.

    It is in the folder that is called as that of the file, or anywhere but in one of another split than that.
    """
    beside = file.path.parent.relative_to(folder.annotations).as_posix()
    split = split_of(beside)
    beside = "" if beside == "." else beside
    found = index.find_stem(file.path.stem, beside, split)
    if found is None and file.filename:
        found = index.find(file.filename, beside, split)
    if found is None and file.filename:
        found = index.find_stem(Path(file.filename.replace("\\", "/")).stem, beside, split)
    return found


def _read(path: Path) -> _File | Problem:
    name = valid_text(str(path))
    try:
        root = ElementTree.fromstring(path.read_bytes())
    except ElementTree.ParseError as error:
        return Problem("annotation file", f"{name}, line {error.position[0]}", f"it is no XML ({error.msg}); repair it")
    except (OSError, ValueError, LookupError) as error:
        return Problem("annotation file", name, f"{one_line(error)}; repair it")
    if root.tag != "annotation":
        reason = f"its root is <{root.tag}>, not <annotation>; remove it, or export it again"
        return Problem("annotation file", name, reason)
    objects = []
    for number, element in enumerate(root.findall("object"), 1):  # those of parts are deeper
        text = (element.findtext("name") or "").strip()
        corners = tuple(_number(element.findtext(f"bndbox/{corner}")) for corner in _CORNERS)
        place = f"{name}, object {number}" + (f" ({text})" if text else "")
        objects.append(_Object(place, text, corners, _number(element.findtext("difficult")) == 1))
    h, w = (_number(root.findtext(f"size/{side}")) for side in ("height", "width"))
    size = (int(h), int(w)) if h >= 1 and w >= 1 and h * w < 2**31 else (0, 0)
    return _File(path, (root.findtext("filename") or "").strip(), size, objects)


def _number(text: str | None) -> float:
    try:
        return float(text or "")
    except ValueError:
        return math.nan
