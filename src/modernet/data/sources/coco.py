"""Read COCO's json files of objects, and what labelling tools write in their form."""

from __future__ import annotations

import gc
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from modernet.data.images.files import ImageFiles
from modernet.data.images.rle import Polygons, box_xyxy, from_polygons
from modernet.data.sources.coco_files import CocoFile
from modernet.data.sources.coco_values import boxes_of, key_of, mask_of, number_of, numbers_of, text_of
from modernet.data.sources.objects import (
    BoxSplit,
    BoxSurvey,
    ImageIndex,
    Ints,
    Mask,
    Objects,
    Problem,
    targets_of,
    true_sizes,
)
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text
from modernet.preparation import Size

_MOST_PIXELS = 2**31  # of an image; what a file states beyond that is damage


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
    in_folders = index.companions(indices)
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
        listed.setdefault(key_of(entry.get("id")), entry)
    used = {key_of(entry.get("category_id")) for entry in content.annotations}
    names = {key: text_of(entry.get("name", key)) for key, entry in listed.items()}
    given = {key: entry.get("supercategory") for key, entry in listed.items()}
    parents = {key: text_of(parent) for key, parent in given.items() if parent is not None}
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
        key, name = key_of(entry.get("id")), str(entry.get("file_name"))
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
    h, w = number_of(entry.get("height")), number_of(entry.get("width"))
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
        image, label = position.get(key_of(entry.get("image_id")), -1), label_of.get(key_of(entry.get("category_id")))
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
        mask, wrong = mask_of(stored, each[image])
        masks.append(mask)
        problems += [Problem("mask", place(places[number]), reason) for reason in wrong]

    boxes = boxes_of([entry.get("bbox") for entry in chosen])
    for number in np.flatnonzero(~np.isfinite(boxes).all(1)).tolist():
        mask = masks[number]
        if mask is not None:
            boxes[number] = box_xyxy(from_polygons(*mask) if isinstance(mask, Polygons) else mask)
    objects = Objects(
        image=np.array(images, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        boxes_xyxy=boxes,
        crowd=np.array([entry.get("iscrowd", 0) in (1, "1") for entry in chosen], dtype=bool),
        areas=numbers_of([entry.get("area") for entry in chosen]),
        masks=masks,
        place=lambda number: place(places[number]),
    )
    return objects, problems
