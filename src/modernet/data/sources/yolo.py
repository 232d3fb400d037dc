"""Read YOLO's text files of boxes and polygons, a file for each image, with or without a data.yaml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml

from modernet.data.images.decoding import UnreadableImage, upright_size
from modernet.data.images.finding import images_below, is_hidden, is_image, some_names
from modernet.data.images.rle import Polygons
from modernet.data.sources.label_maps import image_files
from modernet.data.sources.objects import TOLERANCE, BoxSplit, BoxSurvey, Mask, Objects, Problem, targets_of
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text
from modernet.machine.cores import decoding_workers
from modernet.preparation import Size
from modernet.progress import track

_SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
_CLASS_FILE = "classes.txt"
_NAMES, _IMAGES = re.compile(rb"^names\s*:", re.MULTILINE), re.compile(rb"^(path|train|val)\s*:", re.MULTILINE)
_BOX, _FEWEST = 5, 7  # numbers of a line with a box, and of one with the smallest polygon
_VISIBILITIES = {0.0, 1.0, 2.0}
_MOST_CLASSES = 100_000  # a larger number is damage
_CHUNK = 256
_MOST_THREADS = 16


@dataclass(frozen=True, eq=False)
class YoloFolder:
    """Images of each split, whose text files are where YOLO looks for them.

    Attributes:
        path: the folder of the data set.
        images: of each split.
        names: number -> name of each class; None where nothing names them.
        notes: how the data.yaml was read where that is in doubt.
    """

    path: Path
    images: Mapping[str, tuple[Path, ...]]
    names: Mapping[int, str] | None
    notes: tuple[str, ...]


def find_data_yaml(folder: Path) -> Path | None:
    """Return the data.yaml of a folder, whatever its name; None if it has none."""
    files = sorted((*folder.glob("*.yaml"), *folder.glob("*.yml")))
    return next((file for file in files if not is_hidden(file.name) and _is_data_yaml(file)), None)


def find_yolo(folder: Path) -> YoloFolder | None:
    """Recognise a data.yaml in a folder, or images with text files of numbers; None for anything else.

    Raises:
        InputError: its data.yaml cannot be used.
    """
    if (file := find_data_yaml(folder)) is not None:
        return read_data_yaml(file)
    images = _images_without_yaml(folder)
    if not images or not any(label_file(image).is_file() for of_split in images.values() for image in of_split):
        return None
    listed = [folder / _CLASS_FILE, folder / "labels" / _CLASS_FILE]
    listed += [label_file(of_split[0]).parent / _CLASS_FILE for of_split in images.values()]
    names = next((_listed_names(file) for file in listed if file.is_file()), None)
    return YoloFolder(folder, images, names, ())


def read_data_yaml(file: Path) -> YoloFolder:
    """Read a data.yaml: the names of the classes, and the images of each split.

    `names` is a list, or a mapping from numbers; without it, `nc` says how many classes there are. Images are those of
    a folder, of a text file with a path on each line, or of a list of these. Paths are relative to `path`, or to the
    file if that is not there, and may lead out of it by a `../` too many, as Roboflow's do.

    Raises:
        InputError: it is no such file, it is for key points, or its training images are not there.
    """
    name = valid_text(str(file))
    content = _yaml(file)
    if not isinstance(content, dict) or not any(key in content for key in ("names", "nc")):
        raise InputError(f"{name} has no names; write names: [cat, dog] and train: images/train")
    if content.get("kpt_shape"):
        raise InputError(f"{name} has kpt_shape, so it is for key points; give boxes or polygons")
    names, notes = _names(content, name)
    root = next(
        (found for base in (str(content.get("path") or "."), ".") if (found := file.parent / base).is_dir()),
        file.parent,
    )
    images: dict[str, tuple[Path, ...]] = {}
    for split, keys in _SPLITS.items():
        given = next((content[key] for key in keys if content.get(key)), None)
        if given is None:
            continue
        entries = [str(entry) for entry in (given if isinstance(given, list) else [given])]
        listed = dict.fromkeys(image for entry in entries for image in _images_of(entry, (root, file.parent)))
        if not listed and split == "train":
            raise InputError(f"{name}: there is no image in its train, {', '.join(entries)}; correct train or path")
        if not listed:
            notes.append(f"{file.name}: there is no image in its {split}, {', '.join(entries)}; it is not used")
        elif set(listed) == set(images.get("train", ())):
            notes.append(f"{file.name}: its {split} has the images of train; it is not used")
        else:
            images[split] = tuple(listed)
    if not images:
        raise InputError(f"{name} names no images; write train: images/train")
    folders = [_absolute(root), *{image.parent for of_split in images.values() for image in of_split}]
    return YoloFolder(Path(os.path.commonpath(folders)), images, names, tuple(notes))


def label_file(image: Path) -> Path:
    """Return the text file of an image: in `labels/` instead of the last `images/` of its path, else beside it."""
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def survey_yolo(folder: YoloFolder, *, every_image: bool = False) -> BoxSurvey:
    """Read the text file of every image, and the size of the image from its header.

    A line is a class and a box (5 numbers), or a class and a polygon (7, 9, ... numbers; oriented boxes are polygons of
    four corners). All but the class are shares of width and height; up to a hundredth outside of the image is cut off,
    with more an object is dropped. An image without a text file has no objects.

    Args:
        every_image: changes nothing, since nothing states the sizes and all are read from the images.

    Raises:
        InputError: lines have key points.
    """
    looks = {split: list(_looked_at(paths, folder.path)) for split, paths in folder.images.items()}
    lines = [line for of_split in looks.values() for look in of_split for line in look.lines]
    _refuse_key_points(lines, folder.path)
    names = folder.names
    if names is None:
        names = {number: str(number) for number in range(int(max((line.numbers[0] for line in lines), default=-1)) + 1)}
    ids = sorted(names)
    label_of = {number: label for label, number in enumerate(ids)}
    splits: dict[str, BoxSplit] = {}
    problems = [
        Problem("missing image", valid_text(str(file)), "there is no image of its name") for file in _left_over(folder)
    ]
    for split, paths in folder.images.items():
        images = image_files(folder.path, paths)
        sizes = np.array([look.size for look in looks[split]], dtype=np.int64).reshape(-1, 2)
        objects, found = _objects(looks[split], label_of)
        targets, dropped = targets_of(objects, sizes, np.arange(1, len(paths) + 1), tuple(ids))
        splits[split] = BoxSplit(images, targets)
        problems += [*found, *dropped]
    return BoxSurvey(folder.path, tuple(names[number] for number in ids), splits, tuple(problems), folder.notes)


def _left_over(folder: YoloFolder) -> Iterator[Path]:
    """Yield text files in folders of their own of which there is no image."""
    places = {label_file(image).parent: image.parent for images in folder.images.values() for image in images}
    for labels, images in sorted(places.items()):
        if labels != images and labels.is_dir():
            stems = {file.stem for file in images.iterdir()}
            files = [file for file in sorted(labels.glob("*.txt")) if file.name != _CLASS_FILE]
            yield from (file for file in files if file.stem not in stems and not is_hidden(file.name))


class _Line(NamedTuple):
    place: str
    numbers: list[float]
    """Finite; the first is whole and no less than 0."""


class _Look(NamedTuple):
    """What there is to know of an image: its size, 0 where it cannot be read, and the lines of its file."""

    size: Size
    lines: list[_Line]
    problems: list[Problem]


def _looked_at(paths: Sequence[Path], folder: Path) -> Iterator[_Look]:
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads:
        looks = threads.map(lambda chunk: [_look(image) for image in chunk], chunks)
        try:
            for chunk in track(looks, f"reading the objects of {folder}", len(chunks)):
                yield from chunk
        finally:
            threads.shutdown(cancel_futures=True)  # or Ctrl-C would wait for every chunk


def _look(image: Path) -> _Look:
    try:
        size, _ = upright_size(image)
    except UnreadableImage:
        size = (0, 0)  # reported when it is decoded
    look = _Look(size, [], [])
    file = label_file(image)
    name = valid_text(str(file))
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        return look
    except (OSError, UnicodeDecodeError) as error:
        look.problems.append(Problem("annotation file", name, f"{one_line(error)}; give a text file in UTF-8"))
        return look
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            _read_line(line, f"{name}, line {number}", look)
    return look


def _read_line(line: str, place: str, look: _Look) -> None:
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        look.problems.append(Problem("object", place, f"it is no line of numbers: {line.strip()[:40]!r}"))
        return
    if not np.isfinite(numbers).all() or not 0 <= numbers[0] < _MOST_CLASSES or not numbers[0].is_integer():
        reason = f"it begins with {line.split()[0]}; write the number of a class, from 0, and finite numbers"
        look.problems.append(Problem("object", place, reason))
        return
    look.lines.append(_Line(place, numbers))


def _refuse_key_points(lines: Sequence[_Line], folder: Path) -> None:
    """Refuse lines with a box and key points: x, y and a visibility of 0, 1 or 2 each.

    Some of these have as many numbers as a polygon, so every line that is no box must be so.
    """
    others = [line for line in lines if len(line.numbers) != _BOX]
    if others and all(
        len(line.numbers) % 3 == 2 and set(line.numbers[_BOX + 2 :: 3]) <= _VISIBILITIES and len(line.numbers) > _BOX
        for line in others
    ):
        raise InputError(f"{others[0].place}: it has key points (x, y and visibility); give {folder} boxes or polygons")


def _objects(looks: Sequence[_Look], label_of: Mapping[int, int]) -> tuple[Objects, list[Problem]]:
    image: list[int] = []
    labels: list[int] = []
    boxes: list[list[float]] = []
    masks: list[Mask | None] = []
    places: list[str] = []
    problems: list[Problem] = []
    for number, look in enumerate(looks):
        problems += look.problems
        for place, numbers in look.lines:
            label, shares = label_of.get(int(numbers[0])), numbers[1:]
            is_polygon = len(numbers) >= _FEWEST and len(numbers) % 2 == 1
            if len(numbers) == _BOX:
                x, y, w, h = shares
                shares = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
            if label is None:
                reason = f"there is no class {int(numbers[0])}"
            elif len(numbers) != _BOX and not is_polygon:
                reason = f"it has {len(numbers)} numbers; a box has 5, a polygon 7, 9, 11, ..."
            elif min(shares) < -TOLERANCE or max(shares) > 1 + TOLERANCE:
                reason = (
                    f"it is outside of its image, from {min(shares):.3g} to {max(shares):.3g}; give shares of a side"
                )
            else:
                sides = np.tile(look.size[::-1], len(shares) // 2)
                corners = np.clip(shares, 0, 1) * sides
                image.append(number)
                labels.append(label)
                boxes.append(
                    [*corners.reshape(-1, 2).min(0), *corners.reshape(-1, 2).max(0)] if is_polygon else corners
                )
                masks.append(Polygons([corners.tolist()], look.size) if is_polygon and all(look.size) else None)
                places.append(place)
                continue
            problems.append(Problem("object", place, reason))
    m = len(image)
    objects = Objects(
        image=np.array(image, dtype=np.int64),
        labels=np.array(labels, dtype=np.int64),
        boxes_xyxy=np.array(boxes, dtype=np.float64).reshape(m, 4),
        crowd=np.zeros(m, dtype=bool),
        areas=np.full(m, np.nan),
        masks=masks,
        place=places.__getitem__,
    )
    return objects, problems


def _is_data_yaml(file: Path) -> bool:
    text = file.read_bytes()
    return bool(_NAMES.search(text) and _IMAGES.search(text))


def _yaml(file: Path) -> Any:
    try:
        return yaml.safe_load(file.read_bytes())
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise InputError(f"cannot read {valid_text(str(file))}: {one_line(error)}; correct it") from error


def _names(content: Mapping[str, Any], name: str) -> tuple[dict[int, str], list[str]]:
    given, count = content.get("names"), content.get("nc")
    if given is None:
        if type(count) is not int or not 1 <= count <= _MOST_CLASSES:
            raise InputError(f"{name} has no names, and nc is {count!r}; write names: [cat, dog]")
        return {number: str(number) for number in range(count)}, []
    try:
        listed = given.items() if isinstance(given, dict) else enumerate(given)
        names = {int(number): str(text) for number, text in listed}
    except (TypeError, ValueError) as error:
        raise InputError(f"{name}: names is {given!r}; write a list, or 0: cat and 1: dog below it") from error
    if not names or isinstance(given, str) or min(names) < 0:
        raise InputError(f"{name}: names is {given!r}; write a list, or 0: cat and 1: dog below it")
    wrong = count is not None and count != len(names)
    return names, [f"{Path(name).name}: nc is {count}, but there are {len(names)} names, which count"] if wrong else []


def _images_of(entry: str, bases: Sequence[Path]) -> list[Path]:
    """Return the images of an entry of train, val or test; none if it leads nowhere."""
    entry = entry.replace("\\", "/")
    trimmed = entry
    while trimmed.startswith("../"):
        trimmed = trimmed.removeprefix("../")
    for base in bases:
        for path in dict.fromkeys((base / entry, base / trimmed)):
            if path.is_dir():
                return images_below(_absolute(path))
            if path.is_file() and path.suffix == ".txt":
                lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
                files = [_listed_image(line.strip(), (base, path.parent)) for line in lines if line.strip()]
                return [file for file in files if file is not None]
    return []


def _absolute(path: Path) -> Path:
    """Return a path without `..`; links stay, since the labels are beside them."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve follows links


def _listed_image(line: str, bases: Sequence[Path]) -> Path | None:
    """Return the image of a line of a list; None if it is not there."""
    return next((_absolute(found) for base in bases if is_image(found := base / line) and found.is_file()), None)


def _listed_names(file: Path) -> dict[int, str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"cannot read {valid_text(str(file))}: {one_line(error)}; give a text file in UTF-8"
        ) from error
    return {number: line.strip() for number, line in enumerate(lines) if line.strip()}


def _images_without_yaml(folder: Path) -> dict[str, tuple[Path, ...]]:
    """Return the images of a folder, if it has text files where YOLO looks for them."""
    if (folder / "images").is_dir() and (folder / "labels").is_dir():
        found: dict[str, list[Path]] = {}
        for image in images_below(folder / "images"):
            parts = image.relative_to(folder / "images").parts
            found.setdefault((split_of(parts[0]) if len(parts) > 1 else None) or "train", []).append(image)
        return {split: tuple(images) for split, images in found.items()}
    below = {split_of(name): folder / name for name in some_names(folder) if is_split_word(name)}
    places = {split: place for split, place in below.items() if split and place.is_dir()} or {"train": folder}
    return {
        split: tuple(images_below(place / "images" if _has_labels(place) else place))
        for split, place in places.items()
        if _has_labels(place) or _has_text_files(place)
    }


def _has_labels(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _has_text_files(folder: Path) -> bool:
    """Return whether some of the images in a folder have text files of numbers beside them."""
    names = some_names(folder)
    images = {name.rpartition(".")[0] for name in names if is_image(Path(name))}
    return any(name.endswith(".txt") and name[:-4] in images and _begins_with_number(folder / name) for name in names)


def _begins_with_number(file: Path) -> bool:
    with file.open("rb") as content:
        first = content.read(64).split()
    return not first or first[0].replace(b".", b"").isdigit()
