"""Files that say which class of a network each class of some data is."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from modernet.errors import InputError, one_line

_DELIMITERS = {".csv": ",", ".tsv": "\t"}


class Entry(NamedTuple):
    """What a class of the data is."""

    where: str
    """The line of the file, for messages."""
    meant: str
    """A name, a synset or an index, as written."""


def read_class_map(path: Path) -> dict[str, Entry]:
    """Read a class map: class of the data -> class of a network, as written.

    A `.csv` or `.tsv` file has both on each line; a name with commas is in quotes. A `.json` file has an object.

    Raises:
        InputError: the file cannot be read, has another suffix or nothing in it, or one of its lines is broken or has
            a class again.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise InputError(f"cannot read the class map {path}: {error.strerror}; give a file that exists") from error
    except UnicodeDecodeError as error:
        raise InputError(f"the class map {path} is not UTF-8: {one_line(error)}; save it as UTF-8") from error
    suffix = path.suffix.lower()
    if suffix == ".json":
        rows = _rows_of_json(path, text)
    elif suffix in _DELIMITERS:
        rows = _rows_of_table(path, text, _DELIMITERS[suffix])
    else:
        raise InputError(f"the class map {path} is neither .csv, .tsv nor .json; rename it")
    entries: dict[str, Entry] = {}
    for where, name, meant in rows:
        if name in entries and entries[name].meant != meant:
            raise InputError(f"{where} has {name!r} again, as another class; keep one")
        entries[name] = Entry(where, meant)
    if not entries:
        raise InputError(
            f"the class map {path} is empty; write a class of the data and its class of the network a line"
        )
    return entries


def _rows_of_table(path: Path, text: str, delimiter: str) -> Iterator[tuple[str, str, str]]:
    lines = csv.reader(text.splitlines(), delimiter=delimiter, skipinitialspace=True)
    try:
        for row in lines:
            cells = [cell.strip() for cell in row]
            if not any(cells):
                continue
            where = f"{path}, line {lines.line_num},"
            if len(cells) != 2 or not all(cells):
                written = delimiter.join(row)
                raise InputError(
                    f"{where} is {written!r}; write a class of the data and its class of the network, such as "
                    f'my fish{delimiter}"tench, Tinca tinca", n01440764 or 0 in its place'
                )
            yield where, cells[0], cells[1]
    except csv.Error as error:
        raise InputError(f"{path}, line {lines.line_num}, is broken: {one_line(error)}; correct it") from error


def _rows_of_json(path: Path, text: str) -> Iterator[tuple[str, str, str]]:
    try:
        found = json.loads(text, object_pairs_hook=tuple)  # a dictionary would keep the last of equal keys in silence
    except (ValueError, RecursionError) as error:
        raise InputError(f"the class map {path} is broken: {one_line(error)}; correct it") from error
    if not isinstance(found, tuple):
        raise InputError(f'the class map {path} is no object; write {{"my fish": "tench"}}')
    for name, meant in found:
        if isinstance(meant, bool) or not isinstance(meant, str | int):
            raise InputError(f"{path} has {meant!r} for {name!r}; give a name, a synset or an index")
        yield f"{path}, {name!r},", name, str(meant)
