"""Read YOLO's text files of boxes and polygons, a file for each image, with or without a data.yaml."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from modernet.data.images.decoding import UnreadableImage, upright_size
from modernet.data.images.finding import is_hidden
from modernet.data.images.rle import Polygons
from modernet.data.sources.label_maps import image_files
from modernet.data.sources.objects import TOLERANCE, BoxSplit, BoxSurvey, Objects, Problem, targets_of
from modernet.data.sources.yolo_folder import CLASS_FILE, MOST_CLASSES, YoloFolder, in_labels, label_file
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text
from modernet.machine.cores import decoding_workers
from modernet.preparation import Size
from modernet.progress import track

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_BOX, _FEWEST = 5, 7  # numbers of a line with a box, and of one with the smallest polygon
_VISIBILITIES = {0.0, 1.0, 2.0}
_CHUNK = 256
_MOST_THREADS = 16


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
    places = {in_labels(image).parent: image.parent for images in folder.images.values() for image in images}
    for labels, images in sorted(places.items()):
        if labels != images and labels.is_dir():
            stems = {file.stem for file in images.iterdir()}
            files = [file for file in sorted(labels.glob("*.txt")) if file.name != CLASS_FILE]
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
    if not all(map(math.isfinite, numbers)) or not 0 <= first < MOST_CLASSES or not first.is_integer():
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
