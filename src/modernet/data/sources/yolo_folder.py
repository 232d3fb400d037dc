"""Where YOLO's images and their text files are, with or without a data.yaml."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from modernet.data.images.finding import images_below, is_hidden, is_image, some_names
from modernet.data.sources.objects import Problem
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text

CLASS_FILE = "classes.txt"
MOST_CLASSES = 100_000  # a larger number is damage
_SPLITS = {"train": ("train",), "validation": ("val", "valid", "validation"), "test": ("test",)}
_NAMES, _IMAGES = re.compile(rb"^names\s*:", re.MULTILINE), re.compile(rb"^(path|train|val)\s*:", re.MULTILINE)


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
    listed = [folder / CLASS_FILE, folder / "labels" / CLASS_FILE]
    listed += [label_file(of_split[0]).parent / CLASS_FILE for of_split in images.values()]
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
    own, beside = in_labels(image), image.with_suffix(".txt")
    return beside if not own.is_file() and beside.is_file() else own


def in_labels(image: Path) -> Path:
    """Return where YOLO looks for the text file of an image first, whether it is there or not."""
    parts = list(image.parts)
    for position in range(len(parts) - 2, -1, -1):
        if parts[position] == "images":
            parts[position] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


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
        if type(count) is not int or not 1 <= count <= MOST_CLASSES:
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
