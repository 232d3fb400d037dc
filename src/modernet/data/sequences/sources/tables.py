"""Tables of text and classes: tab-separated values with a header."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from modernet.data.example_splits import three_parts
from modernet.data.sequences.encoding import words
from modernet.data.sequences.named_encodings import NamedEncoding
from modernet.data.sequences.sources.rows import Row, RowSource
from modernet.data.skipping import Skipped
from modernet.data.sources.parquet_columns import LABEL_COLUMNS
from modernet.errors import InputError
from modernet.files.fingerprint import file_sha256
from modernet.files.names import valid_text

_LABELS = (*LABEL_COLUMNS, "category")
TEXT_COLUMNS = ("text", "sentence", "sequence", "source", "review", "document")
_LISTOPS = ("source", "target")
_MOST_BYTES = 4000  # of a text, as in the Arena's
_MOST_SHOWN = 40  # characters of a column, where a first line of text was taken for a header


def read_tables(path: Path, files: Mapping[str, list[Path]], skipped: Skipped) -> tuple[RowSource, NamedEncoding]:
    """Read tables: a header, then a row in each line, with tabs between the columns and no quotes.

    The column of texts is named text, sentence, sequence, source, review or document, that of classes label, labels,
    fine_label, class, target or category, in any case; others are not used. Texts are read as bytes, at most 4,000 of
    each; a table with the columns Source and Target, as ListOps, as words.

    Args:
        path: of the only file, or of the folder.
        files: of each split; splits that are missing are held out (`three_splits`), by a hash of the text.

    Raises:
        InputError: a file cannot be read, has no such column or no row, a row is broken, or a class is in too few rows.
    """
    columns = {tuple(table_header(file)) for of_split in files.values() for file in of_split}
    rows = {split: [row for file in of_split for row in _rows(file, skipped)] for split, of_split in files.items()}
    for split, found in rows.items():
        if not found:
            raise InputError(f"{files[split][0]} has no row to read; add a row for each text")
    train, validation, test, phrase = three_parts(rows, path, "rows")
    digests = {valid_text(file.name): file_sha256(file) for of_split in files.values() for file in of_split}
    source = RowSource(path, train, validation, test, {"files": digests, "splits": phrase})
    if all(tuple(column.lower() for column in each) == _LISTOPS for each in columns):
        longest = max(len(words(row.texts[0])) for row in train)
        return source, NamedEncoding("words", longest, "the training rows")
    longest = max(len(row.texts[0].encode(errors="surrogateescape")) for row in train)
    return source, NamedEncoding("bytes", min(longest, _MOST_BYTES), "the training rows")


def table_header(file: Path) -> list[str]:
    """Return the names of the columns of a table.

    Raises:
        InputError: it cannot be read, or its first line is empty.
    """
    header = next(table_lines(file), "")
    if not header.strip():
        raise InputError(f"{file} has no header; its first line must name the columns, with tabs between them")
    return [column.strip() for column in header.split("\t")]


def count_of_columns(fields: list[str]) -> str:
    """Return how many columns a line has, for messages: `1 column`, `3 columns`."""
    return "1 column" if len(fields) == 1 else f"{len(fields)} columns"


def _rows(file: Path, skipped: Skipped) -> Iterator[Row]:
    columns, shown = table_header(file), valid_text(str(file))
    label, text = find_column(file, columns, _LABELS, "label"), find_column(file, columns, TEXT_COLUMNS, "text")
    for number, line in enumerate(table_lines(file), 1):
        fields = line.split("\t")
        name = f"{shown}, line {number}"
        if number == 1 or not line.strip():
            continue
        if len(fields) != len(columns):
            skipped.add(name, f"has {count_of_columns(fields)}, not {len(columns)} as the header")
        elif not fields[label].strip():
            skipped.add(name, f"has no {columns[label]}")
        elif not fields[text].strip():
            skipped.add(name, f"has no {columns[text]}")
        else:
            yield Row(name, valid_text(fields[label].strip()), (fields[text],))


def find_column(file: Path, columns: list[str], accepted: tuple[str, ...], kind: str) -> int:
    """Return the number of the column with the first of the accepted names, in any case.

    Args:
        kind: what the column has, in messages.

    Raises:
        InputError: there is none.
    """
    names = [column.lower() for column in columns]
    for name in accepted:
        if name in names:
            return names.index(name)
    raise InputError(
        f"{file} has the columns {', '.join(column[:_MOST_SHOWN] for column in columns)}; the first line must name "
        f"them, the {kind} column {' or '.join(accepted)}"
    )


def table_lines(file: Path) -> Iterator[str]:
    """Yield the lines of a table with the header; bytes that are no UTF-8 are kept as surrogates.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with file.open(encoding="utf-8-sig", errors="surrogateescape", newline="\n") as lines:
            for line in lines:
                yield line.rstrip("\r\n")
    except OSError as error:
        raise InputError(f"cannot read {file}: {error.strerror}; check that it may be read") from error
