"""Image files with a table of their labels: `metadata.jsonl` or `metadata.csv`, or a CSV beside a folder of images."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from modernet.data.images.files import ImageFiles
from modernet.data.images.finding import has_folders, is_hidden, is_image
from modernet.data.sources.assemble import assemble
from modernet.data.sources.examples import Source
from modernet.data.sources.listing import list_images
from modernet.data.sources.parquet_columns import LABEL_COLUMNS
from modernet.data.sources.split_names import is_split_word, split_of
from modernet.errors import InputError, one_line
from modernet.files.names import valid_text
from modernet.progress import say

_OF_DATASETS = ("metadata.jsonl", "metadata.csv")  # as an imagefolder of Hugging Face datasets has them
_FILE_COLUMNS = ("file_name", "filename", "file", "image", "path", "filepath", "image_id", "id")
_LABEL_COLUMNS = (*LABEL_COLUMNS, "category")
_SPLIT_COLUMN = "split"


class _Row(NamedTuple):
    name: str
    """In messages."""
    file: str
    label: str
    split: str | None


def label_tables(path: Path) -> list[Path]:
    """Return the tables of labels of a folder of images; none if it has none, or class folders.

    They are `metadata.jsonl` or `metadata.csv` in it or in its folders for splits, or else a CSV with a column for
    files and one for labels: one for all, or one for each split (`train.csv`).

    Raises:
        InputError: several tables are in doubt, or one cannot be read.
    """
    folders = [entry for entry in sorted(path.iterdir()) if entry.is_dir() and not is_hidden(entry.name)]
    splits = [folder for folder in folders if is_split_word(folder.name)]
    flat = len(folders) - len(splits) <= 1 and not any(has_folders(folder) for folder in folders)
    tables = [file for folder in (path, *splits) for name in _OF_DATASETS if (file := folder / name).is_file()]
    if tables:
        return tables if flat or all(_find(_columns(file), _LABEL_COLUMNS) for file in tables) else []
    if not flat:
        return []
    tables = [file for file in sorted(path.glob("*.csv")) if not is_hidden(file.name) and _is_table(file)]
    of_splits = [file for file in tables if split_of(file.stem)]
    if not of_splits and len(tables) > 1:
        raise InputError(f"{path} has several tables of labels: {', '.join(file.name for file in tables)}; keep one")
    return of_splits or tables


def read_labelled_files(path: Path, tables: list[Path]) -> Source:
    """Read the images that the tables of a folder list.

    The column of files is named file_name, filename, file, image, path, filepath, image_id or id, that of labels label,
    labels, fine_label, class, target or category. Files are relative to the table, to the folder of its name, or to one
    folder beside it; their suffix may be missing. Labels are names, numbers too, so that they mean the same in every
    table. The split is that of the column split, of the table's folder or name, or of the file's folder; without any,
    all is one set.

    Args:
        tables: from `label_tables`.

    Raises:
        InputError: a table has no such column or a row without a label, an image is missing or has two labels, or only
            some rows have a split.
    """
    images: dict[str, ImageFiles] = {}
    labels: dict[str, list[str]] = {}
    for table in tables:
        all_files = list_images(table.parent)
        found = _match(table, list(_rows(table)), all_files)
        own = table.parent.name if table.parent != path else table.stem
        splits = [row.split or split_of(own) or _split_of_folder(all_files.identity(index)) for row, index in found]
        if None in splits and set(splits) != {None}:
            stray = found[splits.index(None)][0].name
            raise InputError(f"{stray} has no split, but others do; give all of them one, or none")
        for split in dict.fromkeys(name or "train" for name in splits):
            if split in images:
                raise InputError(f"{path} has two tables for {split}; keep one")
            of_split = [
                (row, index) for (row, index), name in zip(found, splits, strict=True) if (name or "train") == split
            ]
            images[split] = all_files.take(np.array([index for _, index in of_split]))
            labels[split] = [row.label for row, _ in of_split]
    return assemble(
        path,
        labels,
        lambda split: (images[split], None),
        name_of=lambda split, index: images[split].name(index),
        classes=None,
    )


def _match(table: Path, rows: list[_Row], images: ImageFiles) -> list[tuple[_Row, int]]:
    """Find the image of each row."""
    numbers = {images.identity(index): index for index in range(len(images))}
    stems = {name.rpartition(".")[0]: index for name, index in reversed(numbers.items())}
    folders = sorted({parent.partition("/")[0] for parent in images.parents} - {"", table.stem})
    found: list[tuple[_Row, int]] = []
    seen: dict[int, _Row] = {}
    for row in rows:
        known = numbers if is_image(Path(row.file)) else stems
        file = row.file.replace("\\", "/").removeprefix("./")
        here = [known[name] for name in (file, f"{table.stem}/{file}") if name in known]
        index, *others = (
            here[:1] or [known[name] for folder in folders if (name := f"{folder}/{file}") in known] or [-1]
        )
        if index < 0:
            raise InputError(f"{row.name}: there is no image {row.file} in {table.parent}; add it, or remove the row")
        if others:
            raise InputError(f"{row.name}: {row.file} is in several folders of {table.parent}; give its folder too")
        if index in seen:
            if seen[index].label != row.label:
                raise InputError(f"{row.name} gives {row.file} a second label; an image has one")
            continue
        seen[index] = row
        found.append((row, index))
    if not found:
        raise InputError(f"{table} has no rows; add a row for each image")
    if len(found) < len(images):
        say(f"{len(images) - len(found)} images in {table.parent} are not in {table.name}; they are not used")
    return found


def _split_of_folder(identity: str) -> str | None:
    folder = identity.partition("/")[0] if "/" in identity else ""
    return split_of(folder) if is_split_word(folder) else None


def _rows(table: Path) -> Iterator[_Row]:
    columns = _columns(table)
    file_column, label_column = _find(columns, _FILE_COLUMNS), _find(columns, _LABEL_COLUMNS)
    for column, accepted, kind in (
        (file_column, _FILE_COLUMNS, "file"),
        (label_column, _LABEL_COLUMNS, "label"),
    ):
        if column is None:
            raise InputError(
                f"{table} has the columns {', '.join(columns)}; the {kind} column must be named {' or '.join(accepted)}"
            )
    assert file_column is not None
    assert label_column is not None
    for number, row in enumerate(_dicts(table), 1):
        name = f"{table}, row {number}"
        file, label = row.get(file_column), row.get(label_column)
        if not isinstance(file, str) or not file:
            raise InputError(f"{name} has no {file_column}; add one, or remove the row")
        if isinstance(label, bool) or not isinstance(label, str | int) or label == "":
            raise InputError(f"{name} has the label {label!r}; give one number or name, or remove the row")
        given = row.get(_SPLIT_COLUMN)
        split = split_of(given) if isinstance(given, str) else None
        if given and split is None:
            raise InputError(f"{name} has the split {given!r}; give train, validation or test")
        yield _Row(name, file, valid_text(str(label)), split)


def _is_table(file: Path) -> bool:
    columns = _columns(file)
    return _find(columns, _FILE_COLUMNS) is not None and _find(columns, _LABEL_COLUMNS) is not None


def _columns(table: Path) -> list[str]:
    return list(next(_dicts(table), {}))


def _find(columns: list[str], accepted: tuple[str, ...]) -> str | None:
    """Return the column with the first of the accepted names, in any case."""
    names = {column.lower(): column for column in reversed(columns)}
    return next((names[name] for name in accepted if name in names), None)


def _dicts(table: Path) -> Iterator[dict[str, object]]:
    """Yield the rows of a table."""
    try:
        # names of files need not be UTF-8
        with table.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as lines:
            if table.suffix == ".csv":
                for row in csv.DictReader(lines):
                    yield {
                        column.strip(): value.strip() for column, value in row.items() if column and value is not None
                    }
                return
            for number, line in enumerate(lines, 1):
                if line.strip():
                    found = json.loads(line)
                    if not isinstance(found, dict):
                        raise ValueError(f"line {number} is not an object")
                    yield found
    except (OSError, ValueError, RecursionError, csv.Error) as error:
        raise InputError(f"cannot read the table {table}: {one_line(error)}; correct it, or remove it") from error
