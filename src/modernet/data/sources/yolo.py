"""Read YOLO's text files of boxes and polygons, a file for each image, with or without a data.yaml."""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from modernet.data.images.decoding import UnreadableImage, upright_size
from modernet.data.images.finding import images_below, is_hidden, is_image, some_names
from modernet.data.images.rle import Polygons
from modernet.data.sources.label_maps import image_files
from modernet.data.sources.objects import TOLERANCE, BoxSplit, BoxSurvey, Objects, Problem, targets_of
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text
from modernet.machine.cores import decoding_workers
from modernet.preparation import Size
from modernet.progress import track

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

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
        problems: listed images that are not there.
    """

    path: Path
    images: Mapping[str, tuple[Path, ...]]
    names: Mapping[int, str] | None
    notes: tuple[str, ...] = ()
    problems: tuple[Problem, ...] = ()


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
    return YoloFolder(folder, images, names)


def read_data_yaml(file: Path) -> YoloFolder:
    """Read a data.yaml: the names of the classes, and the images of each split.

    `names` is a list, or a mapping from numbers; without it, `nc` says how many classes there are. Images are those of
    a folder, of a text file with a path on each line, or of a list of these. Paths are relative to `path`, or to the
    file if that is not there. One that leads out by `../` is first looked for without it, as Roboflow means it.

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
    beside = _absolute(file.parent)
    path = _absolute(beside / str(content.get("path") or "."))
    root = path if path.is_dir() else beside
    images: dict[str, tuple[Path, ...]] = {}
    problems: list[Problem] = []
    for split, keys in _SPLITS.items():
        given = next((content[key] for key in keys if content.get(key)), None)
        if given is None:
            continue
        entries = [str(entry) for entry in (given if isinstance(given, list) else [given])]
        of_entries = [_images_of(entry, (root, beside)) for entry in entries]
        listed = dict.fromkeys(image for found, _ in of_entries for image in found)
        if not listed and split == "train":
            raise InputError(f"{name}: there is no image in its train, {', '.join(entries)}; correct train or path")
        if not listed:
            notes.append(f"{file.name}: there is no image in its {split}, {', '.join(entries)}; it is not used")
        elif set(listed) == set(images.get("train", ())):
            notes.append(f"{file.name}: its {split} has the images of train; it is not used")
        else:
            images[split] = tuple(listed)
            problems += [problem for _, missing in of_entries for problem in missing]
    if not images:
        raise InputError(f"{name} names no images; write train: images/train")
    folders = sorted({image.parent for of_split in images.values() for image in of_split})
    outside = [folder for folder in folders if not (folder.is_relative_to(root) or folder.is_relative_to(beside))]
    if outside:
        notes.append(f"{file.name}: there are images outside of its folder, in {valid_text(str(outside[0]))}")
    common = Path(os.path.commonpath([root, *folders]))
    return YoloFolder(common, images, names, tuple(notes), tuple(problems))


def label_file(image: Path) -> Path:
    """Return the text file of an image: in `labels/` instead of the last `images/` of its path, or else next to it."""
    in_labels, beside = _in_labels(image), image.with_suffix(".txt")
    return beside if not in_labels.is_file() and beside.is_file() else in_labels


def _in_labels(image: Path) -> Path:
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def survey_yolo(folder: YoloFolder) -> BoxSurvey:
    """Read the text file of every image, and the size of the image from its header.

    A line is a class and a box (5 numbers), or a class and a polygon (7, 9, ... numbers; oriented boxes are polygons of
    four corners). All but the class are shares of width and height; up to a hundredth outside of the image is cut off,
    with more an object is dropped. An image without a text file has no objects; a split to measure on without any text
    file is not used, since its objects are unknown.

    Raises:
        InputError: lines have key points, or there is no text file.
    """
    images = {
        split: paths
        for split, paths in folder.images.items()
        if split == "train" or any(label_file(image).is_file() for image in paths)
    }
    if not images:
        raise InputError(f"{folder.path}: no image has a text file; write labels/a.txt for images/a.jpg")
    unlabelled = [split for split in folder.images if split not in images]
    notes = [*folder.notes, *(f"no image of {split} has a text file; that split is not used" for split in unlabelled)]
    lines = {split: _read(paths, folder.path) for split, paths in images.items()}
    _refuse_key_points(lines.values(), folder.path)
    names = folder.names
    if names is None:
        highest = max(of_split.classes.max(initial=-1) for of_split in lines.values())
        names = {number: str(number) for number in range(int(highest) + 1)}
    ids = sorted(names)
    splits: dict[str, BoxSplit] = {}
    problems = [*folder.problems]
    problems += [
        Problem("missing image", valid_text(str(file)), "there is no image of its name") for file in _left_over(folder)
    ]
    for split, paths in images.items():
        of_split = lines.pop(split)
        objects, found = _objects(of_split, ids)
        targets, dropped = targets_of(objects, of_split.sizes, np.arange(1, len(paths) + 1), tuple(ids))
        splits[split] = BoxSplit(image_files(folder.path, paths), targets)
        problems += [*of_split.problems, *found, *dropped]
    return BoxSurvey(folder.path, tuple(names[number] for number in ids), splits, tuple(problems), tuple(notes))


def _left_over(folder: YoloFolder) -> Iterator[Path]:
    """Yield text files in folders of their own of which there is no image."""
    places = {_in_labels(image).parent: image.parent for images in folder.images.values() for image in images}
    for labels, images in sorted(places.items()):
        if labels != images and labels.is_dir():
            stems = {file.stem for file in images.iterdir()}
            files = [file for file in sorted(labels.glob("*.txt")) if file.name != _CLASS_FILE]
            yield from (file for file in files if file.stem not in stems and not is_hidden(file.name))


class _Look(NamedTuple):
    """What there is to know of an image: its size, 0 where it cannot be read, and the lines of its file."""

    size: Size
    lines: list[int]
    counts: list[int]
    numbers: Floats
    problems: list[Problem]


@dataclass(frozen=True, eq=False)
class _Lines:
    """The m lines of the text files of n images, but for those that are a problem by themselves.

    Attributes:
        paths: n images.
        sizes: int64 (n, 2), height and width; 0 where an image cannot be read.
        image: int64 (m,), the image of each line.
        line: int64 (m,), its number in the file, from 1.
        counts: int64 (m,), how many numbers it has.
        numbers: float64, those of all lines, one after the other; finite, and the first of each line is whole and no
            less than 0.
        problems: the lines and files that are left out.
    """

    paths: Sequence[Path]
    sizes: Ints
    image: Ints
    line: Ints
    counts: Ints
    numbers: Floats
    problems: list[Problem]

    @cached_property
    def starts(self) -> Ints:
        """Where each line begins in `numbers`."""
        starts: Ints = np.cumsum(self.counts) - self.counts
        return starts

    @property
    def classes(self) -> Ints:
        return self.numbers[self.starts].astype(np.int64)

    def place(self, index: int) -> str:
        return f"{valid_text(str(label_file(self.paths[self.image[index]])))}, line {self.line[index]}"


def _read(paths: Sequence[Path], folder: Path) -> _Lines:
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    with ThreadPoolExecutor(decoding_workers(_MOST_THREADS)) as threads:
        read = threads.map(lambda chunk: [_look(image) for image in chunk], chunks)
        try:
            task = f"reading the objects of {folder}"
            looks = [look for chunk in track(read, task, len(chunks)) for look in chunk]
        finally:
            threads.shutdown(cancel_futures=True)  # or Ctrl-C would wait for every chunk
    return _Lines(
        paths,
        sizes=np.array([look.size for look in looks], dtype=np.int64).reshape(-1, 2),
        image=np.repeat(np.arange(len(looks)), [len(look.lines) for look in looks]),
        line=np.array([line for look in looks for line in look.lines], dtype=np.int64),
        counts=np.array([count for look in looks for count in look.counts], dtype=np.int64),
        numbers=np.concatenate([look.numbers for look in looks]),
        problems=[problem for look in looks for problem in look.problems],
    )


def _look(image: Path) -> _Look:
    try:
        size, _ = upright_size(image)
    except UnreadableImage:
        size = (0, 0)  # reported when it is decoded
    file = label_file(image)
    name = valid_text(str(file))
    text = ""
    lines: list[int] = []
    found: list[list[float]] = []
    problems: list[Problem] = []
    try:
        text = file.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError) as error:
        problems.append(Problem("annotation file", name, f"{one_line(error)}; give a text file in UTF-8"))
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                found.append(_read_line(line))
                lines.append(number)
            except InputError as error:
                problems.append(Problem("object", f"{name}, line {number}", str(error)))
    numbers = np.fromiter(chain.from_iterable(found), np.float64)
    return _Look(size, lines, [len(each) for each in found], numbers, problems)


def _read_line(line: str) -> list[float]:
    try:
        numbers = [float(word) for word in line.split()]
    except ValueError:
        raise InputError(f"it is no line of numbers: {line.strip()[:40]!r}") from None
    first = numbers[0]
    if not all(map(math.isfinite, numbers)) or not 0 <= first < _MOST_CLASSES or not first.is_integer():
        raise InputError(f"it begins with {line.split()[0]}; write the number of a class, from 0, and finite numbers")
    return numbers


def _refuse_key_points(splits: Iterable[_Lines], folder: Path) -> None:
    """Refuse lines with a box and key points: x, y and a visibility of 0, 1 or 2 each.

    Some of these have as many numbers as a polygon, so every line that is no box must be so.
    """
    first = None
    for lines in splits:
        for index in np.flatnonzero(lines.counts != _BOX).tolist():
            start, count = lines.starts[index], lines.counts[index]
            visibilities = lines.numbers[start + _BOX + 2 : start + count : 3]
            if count < _BOX or count % 3 != 2 or not _VISIBILITIES.issuperset(visibilities.tolist()):
                return
            first = first or lines.place(index)
    if first is not None:
        raise InputError(f"{first}: it has key points (x, y and visibility); give {folder} boxes or polygons")


def _objects(lines: _Lines, ids: Sequence[int]) -> tuple[Objects, list[Problem]]:
    """Return the objects of all lines that are a box or a polygon in their image, and what is wrong with the others.

    Args:
        ids: the numbers of the classes, ascending.
    """
    counts, classes = lines.counts, lines.classes
    known = np.isin(classes, ids)
    good = known & ((counts == _BOX) | ((counts >= _FEWEST) & (counts % 2 == 1)))
    read = np.flatnonzero(good)
    wrong = {
        index: f"a box has 5 numbers, a polygon 7, 9, 11, ..., and this line {counts[index]}"
        if known[index]
        else f"there is no class {classes[index]}"
        for index in np.flatnonzero(~good).tolist()
    }

    # one row of `points` for each corner; a box has two, at first its centre and its size
    corners = counts[read] // 2
    firsts = np.cumsum(corners) - corners
    shares = np.repeat(good, counts)
    shares[lines.starts] = False
    points = lines.numbers[shares].reshape(-1, 2)
    is_box = counts[read] == _BOX
    box = firsts[is_box]
    centre, half = points[box], points[box + 1] / 2
    points[box], points[box + 1] = centre - half, centre + half
    low, high = (extreme.reduceat(points, firsts) for extreme in (np.minimum, np.maximum))
    least, most = low.min(1), high.max(1)
    inside = (least >= -TOLERANCE) & (most <= 1 + TOLERANCE)
    for position in np.flatnonzero(~inside).tolist():
        span = f"from {least[position]:.3g} to {most[position]:.3g}"
        wrong[int(read[position])] = f"it is outside of its image, {span}; give shares of a side"
    low[is_box], high[is_box] = points[box], points[box + 1]  # a box of negative size stays one

    sizes = lines.sizes[lines.image[read]]
    sides = sizes[:, ::-1]
    points = np.clip(points, 0, 1) * np.repeat(sides, corners, axis=0)
    has_mask = ~is_box & sizes.all(1)
    masks = [
        Polygons([points[first : first + n].ravel()], (h, w)) if masked else None
        for first, n, (h, w), masked in zip(
            *(column[inside].tolist() for column in (firsts, corners, sizes, has_mask)), strict=True
        )
    ]
    kept = read[inside]
    objects = Objects(
        image=lines.image[kept],
        labels=np.searchsorted(ids, classes[kept]),
        boxes_xyxy=(np.clip(np.concatenate((low, high), 1), 0, 1) * np.tile(sides, 2))[inside],
        crowd=np.zeros(len(kept), dtype=bool),
        areas=np.full(len(kept), np.nan),
        masks=masks,
        place=lambda index: lines.place(int(kept[index])),
    )
    return objects, [Problem("object", lines.place(index), wrong[index]) for index in sorted(wrong)]


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
    return names, [
        f"{Path(name).name}: nc is {count}, but there are {len(names)} names; nc is ignored"
    ] if wrong else []


def _images_of(entry: str, bases: Sequence[Path]) -> tuple[list[Path], list[Problem]]:
    """Return the images of an entry of train, val or test, none if it leads nowhere, and the lines of a list that do.

    What is within the data set comes before what a `../` leads out to.
    """
    entry = entry.replace("\\", "/")
    trimmed = entry
    while trimmed.startswith("../"):
        trimmed = trimmed.removeprefix("../")
    for path in dict.fromkeys(base / name for name in (trimmed, entry) for base in bases):
        if path.is_dir():
            return images_below(_absolute(path)), []
        if path.is_file() and path.suffix == ".txt":
            return _listed_images(path, (*bases, path.parent))
    return [], []


def _absolute(path: Path) -> Path:
    """Return a path without `..`; links stay, since the labels are next to them."""
    return Path(os.path.abspath(path))  # noqa: PTH100 - Path.resolve follows links


def _listed_images(file: Path, bases: Sequence[Path]) -> tuple[list[Path], list[Problem]]:
    """Return the images of a list, and its lines that lead nowhere."""
    images: list[Path] = []
    problems: list[Problem] = []
    for number, line in enumerate(file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines(), 1):
        name = line.strip().replace("\\", "/")
        image = next((found for base in bases if is_image(found := base / name) and found.is_file()), None)
        if image is not None:
            images.append(_absolute(image))
        elif name:
            place = valid_text(f"{file}, line {number}")
            problems.append(Problem("missing image", place, f"there is no image {valid_text(name)}"))
    return images, problems


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
    found: dict[str, list[Path]] = {}
    if _has_labels(folder):
        for image in images_below(folder / "images"):
            parts = image.relative_to(folder / "images").parts
            found.setdefault((split_of(parts[0]) if len(parts) > 1 else None) or "train", []).append(image)
    else:
        below = [(split_of(name), folder / name) for name in some_names(folder) if is_split_word(name)]
        for split, place in [each for each in below if each[1].is_dir()] or [("train", folder)]:
            if _has_labels(place) or _has_text_files(place):
                found.setdefault(str(split), []).extend(images_below(place / "images" if _has_labels(place) else place))
    return {split: tuple(images) for split, images in found.items() if images}


def _has_labels(folder: Path) -> bool:
    return (folder / "images").is_dir() and (folder / "labels").is_dir()


def _has_text_files(folder: Path) -> bool:
    """Return whether some of the images in a folder have text files of numbers next to them."""
    names = some_names(folder)
    images = {name.rpartition(".")[0] for name in names if is_image(Path(name))}
    return any(name.endswith(".txt") and name[:-4] in images and _begins_with_number(folder / name) for name in names)


def _begins_with_number(file: Path) -> bool:
    with file.open("rb") as content:
        first = content.read(64).split()
    return not first or first[0].replace(b".", b"").isdigit()
