"""Single sequences to predict: files of text, sound or pixels, and rows of tables."""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from modernet.data.images.decoding import read_image
from modernet.data.images.finding import IMAGE_SUFFIXES, files_below
from modernet.data.images.views import central_view
from modernet.data.sequences.encoding import Encoding
from modernet.data.sequences.recoding import describe
from modernet.data.sequences.sources.tables import (
    TEXT_COLUMNS,
    count_of_columns,
    find_column,
    table_header,
    table_lines,
)
from modernet.data.sequences.sources.wav import UnreadableWav, read_wav
from modernet.errors import InputError
from modernet.files.names import valid_text

_NOT_TEXT = frozenset({".wav"}) | IMAGE_SUFFIXES
_SUFFIXES = frozenset({".txt", ".tsv"}) | _NOT_TEXT


@dataclass(frozen=True)
class Example:
    """A file, or a row of a table."""

    path: Path
    line: int | None = None
    """Of a row: counted from 1, which is the header."""
    text: str | None = None
    """Of a row."""
    broken: str = ""
    """Why a row cannot be read, if it cannot."""

    @property
    def name(self) -> str:
        """Its name for people."""
        path = valid_text(str(self.path))
        return path if self.line is None else f"{path}, line {self.line}"

    def read(self, encoding: Encoding) -> str | NDArray[Any]:
        """Return what `Encoding.encode` takes.

        Raises:
            InputError: it cannot be read, or is nothing that the encoding is for.
        """
        if self.broken:
            raise InputError(f"it {self.broken}")
        if encoding.kind in ("words", "bytes", "characters"):
            if self.path.suffix.lower() in _NOT_TEXT:
                raise InputError(f"it is no text, and the network has learned from {describe(encoding)}")
            return self._text()
        if self.text is not None:
            raise InputError(f"it is text, and the network has learned from {describe(encoding)}")
        return self._sound(encoding.rate) if encoding.kind == "sound" else self._pixels(encoding.side)

    def _text(self) -> str:
        if self.text is not None:
            return self.text
        try:
            return self.path.read_text(encoding="utf-8", errors="surrogateescape").removesuffix("\n")
        except OSError as error:
            raise InputError(f"it cannot be read: {error.strerror}") from error

    def _sound(self, rate: int | None) -> NDArray[Any]:
        try:
            recording = read_wav(self.path)
        except UnreadableWav as error:
            raise InputError(f"it {error}") from error
        if recording.rate != rate:
            raise InputError(f"it has {recording.rate} samples a second, and the network has learned from {rate}")
        return recording.samples

    def _pixels(self, side: int) -> NDArray[Any]:
        image = read_image(self.path)
        return central_view(image.shape[-2], image.shape[-1], (side, side)).show(image, "bilinear").numpy()


def find_examples(given: Sequence[str]) -> list[Example]:
    """Find sequences, given files, folders (searched recursively) and shell patterns (`"talks/*.txt"`).

    Of a table, FILE.tsv, each row is one; its header names the column of texts, as `read_tables` has it.

    Raises:
        InputError: a pattern matches nothing, or a table has no column of texts.
    """
    files: set[Path] = set()
    for pattern in given:
        path = Path(pattern).expanduser()
        if path.is_file():
            matches = [path]
        elif path.is_dir():
            matches = [file for file in files_below(path) if file.suffix.lower() in _SUFFIXES]
        else:
            matches = [Path(match) for match in glob.glob(str(path), recursive=True) if Path(match).is_file()]  # noqa: PTH207
        if not matches:
            raise InputError(
                f"nothing matches {str(pattern)!r}; give files of text (.txt), tables (.tsv), sound (.wav) or images, "
                "folders that contain them, or a pattern such as 'talks/*.txt'"
            )
        files.update(matches)
    return [example for file in sorted(files) for example in _examples(file)]


def _examples(file: Path) -> Iterator[Example]:
    if file.suffix.lower() != ".tsv":
        yield Example(file)
        return
    columns = table_header(file)
    column = find_column(file, columns, TEXT_COLUMNS, "text")
    for number, line in enumerate(table_lines(file), 1):
        fields = line.split("\t")
        if number == 1 or not line.strip():
            continue
        if len(fields) != len(columns):
            yield Example(file, number, broken=f"has {count_of_columns(fields)}, not {len(columns)} as the header")
        else:
            yield Example(file, number, fields[column])
