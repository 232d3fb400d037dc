"""Rows of text with a class each, from any reader -> a data set."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

from numpy.typing import NDArray

from modernet.data.ragged import Growing
from modernet.data.sequences.dataset import SequenceDataset, SequenceSplit, most_frequent_floor
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.named_encodings import NamedEncoding
from modernet.data.skipping import Skipped
from modernet.data.sources.assemble import as_indices, classes_of
from modernet.errors import InputError


class Row(NamedTuple):
    name: str
    """In messages: a file, or a file and its line."""
    label: str
    """Name of its class."""
    texts: tuple[str, ...]
    """One, or two where a pair has the class."""

    @property
    def identity(self) -> str:
        """What decides its split: its text, so that rows may move, and equal texts are in one split."""
        return sha256("\t".join(self.texts).encode(errors="surrogateescape")).hexdigest()


class Broken(NamedTuple):
    """What should have been a row."""

    name: str
    reason: str
    """What is wrong, after the name: "has no text"."""


Rows = Iterable[Row | Broken]
"""They can be gone through again and again."""


@dataclass(frozen=True)
class RowSource:
    """Rows as they are stored.

    Attributes:
        path: of the file or the folder.
        train: rows to learn from.
        validation: None where it is test.
        test: rows to report on.
        provenance: for the record; without the path.
        classes: names of the classes; None are those of the training rows.
    """

    path: Path
    train: Rows
    validation: Rows | None
    test: Rows
    provenance: Mapping[str, Any]
    classes: tuple[str, ...] | None = None


def dataset_of(name: str, source: RowSource, named: NamedEncoding, skipped: Skipped) -> SequenceDataset:
    """Encode the rows of a source, one at a time.

    Args:
        skipped: what is done with broken rows, and those without text.

    Raises:
        InputError: a row is broken, a split has none, or there are fewer than two classes.
    """
    encoding = named.fit(text for row in _whole(source.train, skipped) for text in row.texts)
    train, classes = _split(source, "train", source.train, encoding, source.classes, skipped)
    if len(classes) < 2:
        raise InputError(f"{source.path} has one class, {classes[0]!r}; a network needs at least two to tell apart")
    test, _ = _split(source, "test", source.test, encoding, classes, skipped)
    validation = test
    if source.validation is not None:
        validation, _ = _split(source, "validation", source.validation, encoding, classes, skipped)
    skipped.report(name)
    return SequenceDataset(
        name,
        train,
        validation,
        test,
        classes,
        encoding,
        source.provenance,
        most_frequent_floor(train, test),
        same_held_out=source.validation is None,
        unreadable=skipped.names,
    )


def _whole(rows: Rows, skipped: Skipped) -> Iterator[Row]:
    for row in rows:
        if isinstance(row, Broken):
            skipped.add(row.name, row.reason)
        else:
            yield row


def _split(
    source: RowSource,
    split: str,
    rows: Rows,
    encoding: Encoding,
    classes: tuple[str, ...] | None,
    skipped: Skipped,
) -> tuple[SequenceSplit, tuple[str, ...]]:
    """Encode one split, and return its classes too, which are those of its labels where they are not known."""
    labels: list[str] = []
    names: list[str] = []
    towers = [Growing() for _ in range(encoding.inputs.towers)]
    for row in _whole(rows, skipped):
        sequences = _encoded(row, encoding)
        if sequences is None:
            skipped.add(row.name, "has no text")
            continue
        for tower, sequence in zip(towers, sequences, strict=True):
            tower.append(sequence)
        labels.append(row.label)
        names.append(row.name)
    if not labels:
        raise InputError(f"there is no row to read in the {split} split of {source.path}; add some")
    classes = classes or classes_of(labels)
    indices = as_indices(labels, classes, names.__getitem__)
    return SequenceSplit(tuple(tower.done() for tower in towers), indices, tuple(names)), classes


def _encoded(row: Row, encoding: Encoding) -> list[NDArray[Any]] | None:
    """Return the tokens of a row; None where a text of it is empty."""
    if not all(text.strip() for text in row.texts):
        return None
    try:
        return [encoding.store(text) for text in row.texts]
    except InputError:  # nothing but parentheses
        return None
