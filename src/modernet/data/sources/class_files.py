"""Files that name the classes of label maps, and perhaps the colour of each."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from modernet.data.images.views import IGNORE
from modernet.errors import InputError

CLASS_FILES = ("class_dict.csv", "label_colors.txt", "labelmap.txt", "classes.txt", "objectInfo150.txt")
"""CamVid's two, CVAT's, a plain list, and that of ADE20K's challenge."""
_VOID = frozenset({"void", "ignore", "ignored", "unlabeled", "unlabelled"})
_NUMBERS = r"(?P<red>\d+)[\s,;]+(?P<green>\d+)[\s,;]+(?P<blue>\d+)"
_NAME_FIRST = re.compile(rf"(?P<name>.*?\S)\s*[\s,;:]\s*{_NUMBERS}\s*(?::.*)?")
_COLOUR_FIRST = re.compile(rf"{_NUMBERS}[\s,;]+(?P<name>\S.*)")


@dataclass(frozen=True)
class ClassList:
    """The classes that a file lists, in its order, which is that of the stored values.

    Attributes:
        names: all of them, with those that only mark pixels to ignore.
        colours: the colour of each as 0xRRGGBB; None where the file gives none.
        first: stored value of the first; 1 where 0 stands for no class.
    """

    names: tuple[str, ...]
    colours: tuple[int, ...] | None
    first: int = 0

    @property
    def known(self) -> tuple[str, ...]:
        """Names of the classes that a network learns: all but void, unlabelled and the like."""
        return tuple(name for name in self.names if not is_void(name))

    def by_value(self) -> dict[int, int]:
        """Return the class of each stored value; 255, and 0 where the first class is 1, are ignored."""
        found = self._numbered([self.first + number for number in range(len(self.names))])
        return {IGNORE: IGNORE, **dict.fromkeys(range(self.first), IGNORE), **found}

    def by_colour(self) -> dict[int, int]:
        """Return the class of each colour."""
        assert self.colours is not None
        return self._numbered(list(self.colours))

    def _numbered(self, values: list[int]) -> dict[int, int]:
        numbers = iter(range(len(self.known)))
        return {
            value: IGNORE if is_void(name) else next(numbers) for value, name in zip(values, self.names, strict=True)
        }


def is_void(name: str) -> bool:
    """Return whether a name in a list of classes marks pixels to ignore, rather than a class."""
    return name.casefold().strip(" _") in _VOID


def find_class_file(*folders: Path) -> Path | None:
    """Return the first file of `CLASS_FILES` in some folders, whatever its case."""
    for folder in folders:
        present = {entry.name.casefold(): entry for entry in folder.iterdir() if entry.is_file()}
        for name in CLASS_FILES:
            if name.casefold() in present:
                return present[name.casefold()]
    return None


def read_class_file(path: Path) -> ClassList:
    """Read a file with a class on each line: `name, r, g, b`, `r g b name`, `name:r,g,b::` (CVAT), or a name alone.

    A first line without numbers above lines with them is a header; lines that begin with # are comments. Names alone
    are in the order of the stored values, from 0.

    Raises:
        InputError: a line is not understood, a colour is not in 0 ... 255, or two classes have one colour or name.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {path}: {error}; give a text file in UTF-8") from error
    lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line and not line.startswith("#")]
    if path.name.casefold() == "objectinfo150.txt":
        return ClassList(tuple(line.split("\t")[-1] for _, line in lines[1:]), None, first=1)
    found = [_NAME_FIRST.fullmatch(line) or _COLOUR_FIRST.fullmatch(line) for _, line in lines]
    if lines and not any(found):
        return _checked(path, ClassList(tuple(line for _, line in lines), None))
    if len(found) > 1 and found[0] is None:
        lines, found = lines[1:], found[1:]
    names, colours = [], []
    for (number, line), match in zip(lines, found, strict=True):
        if match is None:
            raise InputError(
                f"{path}, line {number}: {line!r} is no class; write its name and colour, such as road, 128, 64, 128"
            )
        parts = [int(match[colour]) for colour in ("red", "green", "blue")]
        if max(parts) > 255:
            raise InputError(f"{path}, line {number}: the colour {parts} is not in 0 ... 255")
        names.append(match["name"].strip(' "'))
        colours.append(parts[0] << 16 | parts[1] << 8 | parts[2])
    return _checked(path, ClassList(tuple(names), tuple(colours)))


def _checked(path: Path, classes: ClassList) -> ClassList:
    if not classes.names:
        raise InputError(f"{path} lists no class; write a name on each line")
    for what, values in (("class", classes.names), ("colour", classes.colours or ())):
        twice = [value for value in values if values.count(value) > 1]
        if twice:
            shown = f"#{twice[0]:06x}" if isinstance(twice[0], int) else repr(twice[0])
            raise InputError(f"{path} lists the {what} {shown} twice; give each class its own")
    return classes
