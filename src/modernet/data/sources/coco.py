"""Read COCO's json files of objects, and what labelling tools write in their form."""

from __future__ import annotations

import gc
import json
import math
import re
from codecs import BOM_UTF8
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modernet.data.images.files import ImageFiles
from modernet.data.images.finding import is_hidden
from modernet.data.images.rle import Polygons, box_xyxy, from_polygons, merge, parse_rle
from modernet.data.sources.objects import (
    BoxSplit,
    BoxSurvey,
    Floats,
    ImageIndex,
    Ints,
    Mask,
    Objects,
    Problem,
    targets_of,
    true_sizes,
)
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text
from modernet.preparation import Size

_HEAD = 65536  # bytes that are looked at to recognise a file
_KEYS = re.compile(rb'"(images|annotations|categories)"\s*:\s*\[')
_OTHERS = ("captions", "image_info", "panoptic", "person_keypoints", "stuff")  # of COCO's own files
_MOST_FILES = 50  # in a folder
_CORNERS = 3
_MOST_ID = 2**53  # above, not every float is an integer of its own
_MOST_PIXELS = 2**31  # of an image; what a file states beyond that is damage


class CocoFile(NamedTuple):
    """A json file.

    Attributes:
        path: its path.
        split: what its images are used for.
        stated: the split that its name or its folder says; None if neither does.
    """

    path: Path
    split: str
    stated: str | None


def find_coco(folder: Path) -> list[CocoFile]:
    """Return the files of objects of a folder, one for each split; none if it has none.

    They are in `annotations/`, in the folder itself, or in its folders for splits.

    Raises:
        InputError: there are several for one split.
    """
    below = [entry for entry in sorted(folder.iterdir()) if entry.is_dir() and not is_hidden(entry.name)]
    own = [entry for entry in below if entry.name.casefold() == "annotations"]
    files = [file for place in (*own, folder) for file in _jsons(place)]
    found = [_stating(file, split_of(file.stem)) for file in files]
    for place in below:
        if is_split_word(place.name):
            found += [_stating(file, split_of(place.name)) for file in _jsons(place)]
    instances = [file for file in found if file.path.name.startswith("instances")]
    found = instances or found
    for split, count in Counter(file.split for file in found).items():
        if count > 1:
            names = ", ".join(str(file.path.relative_to(folder)) for file in found if file.split == split)
            raise InputError(f"{folder} has several files of objects for {split}: {names}; give one of them as --data")
    return found


def _stating(path: Path, split: str | None) -> CocoFile:
    return CocoFile(path, split or "train", split)


def one_coco(path: Path) -> CocoFile:
    """Return a file that is given alone: it is trained on, whatever it is called."""
    return CocoFile(path, "train", split_of(path.stem) or split_of(path.parent.name))


def _jsons(folder: Path) -> Iterator[Path]:
    files = sorted(islice(folder.glob("*.json"), _MOST_FILES))
    if len(files) == _MOST_FILES:
        return  # one for each image, which is another format
    for file in files:
        if not is_hidden(file.name) and not file.name.startswith(_OTHERS) and file.is_file():
            with file.open("rb") as content:
                head = content.read(_HEAD)
            keys = set(_KEYS.findall(head))
            is_coco = bool(keys) if len(head) == _HEAD else keys >= {b"images", b"annotations"}
            if is_coco and head.removeprefix(BOM_UTF8).lstrip().startswith(b"{"):
                yield file


def folder_of(file: Path) -> Path:
    """Return the folder of the data set that a json file is of."""
    return file.parent.parent if file.parent.name.casefold() == "annotations" else file.parent


def survey_coco(folder: Path, files: Sequence[CocoFile]) -> BoxSurvey:
    """Read json files of objects.

    Classes are the categories by ascending id, without those that others name as their supercategory and no object has.
    Those of the training file are the classes of all; in other files they are found by name.

    Args:
        folder: of the data set, with all of its images.

    Raises:
        InputError: a file is no such file, or none of its images is in the folder.
    """
    with _without_collector():
        return _survey(ImageIndex(folder), files)


@contextmanager
def _without_collector() -> Iterator[None]:
    """Stop Python's search for cycles, which goes through millions of parsed lists again and again, and finds none."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _survey(index: ImageIndex, files: Sequence[CocoFile]) -> BoxSurvey:
    classes: tuple[str, ...] = ()
    ids: tuple[int, ...] = ()
    splits: dict[str, BoxSplit] = {}
    problems: list[Problem] = []
    notes: list[str] = []
    used: list[Ints] = []
    for path, split, stated in sorted(files, key=lambda file: file.split != "train"):
        content = _Content.of(path)
        categories, dropped = _categories(content)
        if not classes:
            classes, ids = tuple(categories.values()), _numbered(categories)
        number = {name: label for label, name in enumerate(classes)}
        label_of = {key: number[name] for key, name in categories.items() if name in number}
        known = {name: id_ for id_, name in zip(_numbered(categories), categories.values(), strict=True)}
        own = tuple(known[name] for name in classes) if known.keys() >= set(classes) else ids
        listed = _listed_images(content, index, stated)
        splits[split], found, said = _read(content, listed, index.files.take(listed.indices), label_of, own)
        used.append(listed.indices)
        problems += found
        notes += [*dropped, *said]
    indices = np.unique(np.concatenate(used))
    in_folders = index.beside(indices)
    if len(indices) < in_folders:
        notes.append(f"not listed, so not used: {in_folders - len(indices)} of {in_folders} images in the same folders")
    return BoxSurvey(index.folder, classes, splits, tuple(problems), tuple(notes))


class _Content(NamedTuple):
    path: Path
    images: list[dict[str, Any]]
    annotations: list[dict[str, Any]]
    categories: list[dict[str, Any]]

    @property
    def name(self) -> str:
        return valid_text(str(self.path))

    @classmethod
    def of(cls, path: Path) -> _Content:
        name = valid_text(str(path))
        try:
            content = json.loads(path.read_bytes())
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(f"cannot read {name}: {one_line(error)}; export it again") from error
        if not isinstance(content, dict):
            raise InputError(f"{name} is a list, as files of results are; give the file of annotations")
        lists = []
        for key in ("images", "annotations", "categories"):
            value = content.get(key)
            if not isinstance(value, list):
                raise InputError(f"{name} is no COCO file of objects, since it has no list {key!r}; export it again")
            lists.append([entry if isinstance(entry, dict) else {} for entry in value])
        for key, entries in zip(("image", "category"), (lists[0], lists[2]), strict=True):
            if not entries:
                raise InputError(f"{name} lists no {key}; export it again")
        return cls(path, *lists)


def _categories(content: _Content) -> tuple[dict[int | str, str], list[str]]:
    """Return the name of each class by its id, in ascending order, and say what was left out."""
    listed: dict[int | str, dict[str, Any]] = {}
    for entry in content.categories:
        listed.setdefault(_key(entry.get("id")), entry)
    used = {_key(entry.get("category_id")) for entry in content.annotations}
    names = {key: _text(entry.get("name", key)) for key, entry in listed.items()}
    given = {key: entry.get("supercategory") for key, entry in listed.items()}
    parents = {key: _text(parent) for key, parent in given.items() if parent is not None}
    children = Counter(parent for key, parent in parents.items() if parent != names[key])
    # Roboflow's root may be called as a class is, which then has the root's name and the root as parent
    children.update(parent for key, parent in parents.items() if parent == names[key] and _is_repeated(parent, names))
    unused = sorted((key for key in listed if key not in used and children[names[key]]), key=_order)
    which = ", ".join(repr(names[key]) for key in unused)
    notes = [f"{content.path.name}: parents of others without an object, so not classes: {which}"]
    return {key: names[key] for key in sorted(listed.keys() - set(unused), key=_order)}, notes if unused else []


def _is_repeated(name: str, names: Mapping[int | str, str]) -> bool:
    return list(names.values()).count(name) > 1


def _order(key: int | str) -> tuple[bool, int | str]:
    return isinstance(key, str), key


def _numbered(keys: Iterable[int | str]) -> tuple[int, ...]:
    """Return ids as they are, or 1, 2, ... where one is no number."""
    given = list(keys)
    numbers = tuple(key for key in given if isinstance(key, int))
    return numbers if len(numbers) == len(given) else tuple(range(1, len(given) + 1))


def _read(
    content: _Content,
    listed: _Listed,
    images: ImageFiles,
    label_of: Mapping[int | str, int],
    category_ids: tuple[int, ...],
) -> tuple[BoxSplit, list[Problem], list[str]]:
    """Read the objects of a file; return what is wrong, and what else there is to say."""
    sizes, wrong_sizes = true_sizes(images, listed.sizes)
    objects, problems = _objects(content, listed.position, label_of, sizes)
    targets, dropped = targets_of(objects, sizes, listed.ids, category_ids)
    problems = [*listed.problems, *wrong_sizes, *problems, *dropped]
    if len(objects.masks) and objects.crowd.all() and not any(isinstance(mask, Polygons) for mask in objects.masks):
        reason = "each has iscrowd 1, as CVAT writes for brush masks: none is learned from or measured; set it to 0"
        problems.append(Problem("only crowds", content.name, reason))
    notes = []
    for key, instead in (("area", "that of mask or box is used"), ("iscrowd", "taken as 0")):
        missing = sum(key not in entry for entry in content.annotations)
        if missing:
            of_all = f"{missing} of {len(content.annotations)} objects"
            notes.append(f"{content.path.name} has no {key} for {of_all}: {instead}")
    return BoxSplit(images, targets), problems, notes


class _Listed(NamedTuple):
    """The images of a file that are there."""

    indices: Ints
    """Of the files."""
    sizes: Ints
    """(n, 2), as stated, 0 where it is not."""
    ids: Ints
    position: dict[int | str, int | None]
    """Id -> position among them; None for an image that is left out."""
    problems: list[Problem]


def _listed_images(content: _Content, index: ImageIndex, split: str | None) -> _Listed:
    beside = content.path.parent.relative_to(index.folder).as_posix()
    beside = "" if beside == "." else beside
    position: dict[int | str, int | None] = {}
    of_file: dict[int, int] = {}
    keys: list[int | str] = []
    sizes: list[Size] = []
    problems = []
    for entry in content.images:
        key, name = _key(entry.get("id")), str(entry.get("file_name"))
        found = index.find(name, beside, split)
        reason = ""
        if key in position:
            reason = f"{name!r} has the id of another image"
        elif found is None:
            position[key] = None
            reason = f"there is no image {name!r}, nor one of that name alone, in {index.folder}"
        elif found in of_file:
            position[key] = of_file[found]
            reason = f"{name!r} is listed twice; the objects of both entries are used"
        else:
            position[key] = of_file[found] = len(keys)
            keys.append(key)
            sizes.append(_stated_size(entry))
        if reason:
            problems.append(Problem("missing image", f"{content.name}, image {key!r}", valid_text(reason)))
    if not keys:
        raise InputError(
            f"none of the {len(content.images)} images of {content.name} is in {index.folder}, such as "
            f"{content.images[0].get('file_name')!r}; put them there, or next to the file"
        )
    ids = np.array(_numbered(keys), dtype=np.int64)
    return _Listed(np.array(list(of_file)), np.array(sizes), ids, position, problems)


def _stated_size(entry: Mapping[str, Any]) -> Size:
    h, w = _number(entry.get("height")), _number(entry.get("width"))
    return (int(h), int(w)) if h >= 1 and w >= 1 and h * w < _MOST_PIXELS else (0, 0)


def _objects(
    content: _Content,
    position: Mapping[int | str, int | None],
    label_of: Mapping[int | str, int],
    sizes: Ints,
) -> tuple[Objects, list[Problem]]:
    """Read the objects of images that are there."""
    problems: list[Problem] = []
    chosen: list[dict[str, Any]] = []
    places: list[int] = []
    images: list[int] = []
    labels: list[int] = []

    def place(number: int) -> str:
        id_ = content.annotations[number].get("id")
        return f"{content.name}, {f'object {number + 1}' if id_ is None else f'annotation {id_!r}'}"

    for number, entry in enumerate(content.annotations):
        image, label = position.get(_key(entry.get("image_id")), -1), label_of.get(_key(entry.get("category_id")))
        if image is None:
            continue
        if image < 0 or label is None:
            key, kind = ("image_id", "image") if image < 0 else ("category_id", "class")
            problems.append(Problem("object", place(number), f"there is no {kind} {entry.get(key)!r}"))
            continue
        chosen.append(entry)
        places.append(number)
        images.append(image)
        labels.append(label)

    each = [(h, w) for h, w in sizes.tolist()]
    masks: list[Mask | None] = []
    for number, (entry, image) in enumerate(zip(chosen, images, strict=True)):
        stored = entry.get("segmentation") if all(each[image]) else None  # without a size, the object is dropped
        mask, wrong = (None, ()) if not stored else _quick(stored, each[image]) or _mask(stored, each[image])
        masks.append(mask)
        problems += [Problem("mask", place(places[number]), reason) for reason in wrong]

    boxes = _boxes([entry.get("bbox") for entry in chosen])
    for number in np.flatnonzero(~np.isfinite(boxes).all(1)).tolist():
        mask = masks[number]
        if mask is not None:
            boxes[number] = box_xyxy(from_polygons(*mask) if isinstance(mask, Polygons) else mask)
    objects = Objects(
        image=np.array(images, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        boxes_xyxy=boxes,
        crowd=np.array([entry.get("iscrowd", 0) in (1, "1") for entry in chosen], dtype=bool),
        areas=_numbers([entry.get("area") for entry in chosen]),
        masks=masks,
        place=lambda number: place(places[number]),
    )
    return objects, problems


def _quick(stored: object, size: Size) -> tuple[Mask, tuple[str, ...]] | None:
    """Read polygons with which nothing is wrong, in a microsecond; None for everything else."""
    if type(stored) is not list or any(type(part) is not list for part in stored):
        return None
    for part in stored:
        if len(part) < 2 * _CORNERS or len(part) % 2:
            return None
        try:
            total = float(sum(part))
        except (TypeError, OverflowError):
            return None
        if not np.isfinite(total) or total == size[0] * size[1]:  # the latter may be runs
            return None
    return Polygons(stored, size), ()


def _mask(stored: object, size: Size) -> tuple[Mask | None, list[str]]:
    """Read polygons or run lengths, and say what is wrong with them.

    A list of whole numbers that sum to the pixels of the image, one of which is no coordinate in it, is one of runs.
    """
    if not isinstance(stored, dict | list):
        return None, ["its segmentation is neither polygons nor RLE"]
    nested = isinstance(stored, list) and any(isinstance(part, dict | list) for part in stored)
    h, w = size
    polygons: list[list[float]] = []
    masks = []
    wrong: list[str] = []
    for part in stored if nested else [stored]:
        if not isinstance(part, dict):
            corners = _numbers(part if isinstance(part, list) else [part])
            if not np.isfinite(corners).all():
                wrong.append("its polygon has a corner that is no number")
                continue
            if corners.sum() != h * w or corners.max() <= max(size) or (corners != np.floor(corners)).any():
                if len(corners) % 2 or 0 < len(corners) < 2 * _CORNERS:
                    wrong.append(f"its polygon has {len(corners)} numbers; it needs two for each of three corners")
                elif len(corners):
                    polygons.append(corners.tolist())
                continue
            part = {"size": [h, w], "counts": corners.astype(np.int64).tolist()}
        try:
            mask = parse_rle(part)
        except InputError as error:
            wrong.append(str(error))
            continue
        if mask["size"] == [h, w]:
            masks.append(mask)
        else:
            order = "; write the height first" if mask["size"] == [w, h] else ""
            wrong.append(f"its RLE has the size {mask['size']}, its image has {h} rows and {w} columns{order}")
    if not masks:
        return (Polygons(polygons, size) if polygons else None), wrong
    if polygons:
        masks.append(from_polygons(polygons, size))
    return (merge(masks) if len(masks) > 1 else masks[0]), wrong


def _boxes(stored: Sequence[object]) -> Floats:
    """Return boxes x, y, width, height as x1, y1, x2, y2; NaN where one is not four numbers."""
    try:
        boxes = np.array(stored, dtype=np.float64).reshape(len(stored), 4)
    except (TypeError, ValueError, OverflowError):
        rows = [_numbers(box) if isinstance(box, list) and len(box) == 4 else np.full(4, np.nan) for box in stored]
        boxes = np.array(rows).reshape(-1, 4)
    return np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), 1)


def _numbers(stored: Sequence[object]) -> Floats:
    """Return numbers, also those that are text; NaN for what is none."""
    try:
        numbers: Floats = np.array(stored, dtype=np.float64)
        if numbers.ndim == 1:
            return numbers
    except (TypeError, ValueError, OverflowError):
        pass
    return np.array([_number(value) for value in stored], dtype=np.float64)


def _text(value: object) -> str:
    """Return a name that can be printed; json may hold half of a surrogate pair."""
    return str(value).encode(errors="backslashreplace").decode()


def _number(value: object) -> float:
    try:
        return float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        return math.nan


def _key(value: object) -> int | str:
    """Return an id as a number where it is one, also as text or with a point: the same one may be written differently.

    >>> _key("7"), _key(7.0), _key("cat")
    (7, 7, 'cat')
    """
    if type(value) is int and abs(value) < _MOST_ID:
        return value
    number = _number(value)
    return int(number) if number.is_integer() and abs(number) < _MOST_ID else str(value)
