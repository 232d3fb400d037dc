"""The columns of a parquet file of images: labels, class names, encoded images."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modernet.errors import InputError, one_line

IMAGE_COLUMNS = ("image", "img", "picture")
LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")

_DAMAGE = (OSError, pa.ArrowException)  # what pyarrow raises on a damaged file
_SCHEMA = pa.schema({"image": pa.large_binary()})


class ParquetFile:
    """An open parquet file.

    Args:
        file: a path or a file object.
        name: its name in messages.

    Raises:
        InputError: it is damaged or not parquet; also raised by the methods.
    """

    def __init__(self, file: Any, name: PurePath) -> None:
        self.name = name
        try:
            source = pa.OSFile(os.fsencode(file)) if isinstance(file, Path) else file  # a name need not be UTF-8
            self._table = pq.ParquetFile(source, pre_buffer=True)
        except _DAMAGE as error:
            raise self._damaged(error) from error
        self.rows: int = self._table.metadata.num_rows

    def find_column(self, accepted: tuple[str, ...], kind: str) -> str:
        """Return the first of the accepted names that is a column."""
        names = self._table.schema_arrow.names
        for name in accepted:
            if name in names:
                return name
        raise InputError(
            f"{self.name} has the columns {', '.join(names)}; the {kind} column must be named {' or '.join(accepted)}"
        )

    def labels(self, column: str) -> list[int] | list[str]:
        """Return the label of each row: integers or names."""
        self.find_column((column,), "label")
        try:
            labels = self._table.read(columns=[column])[column]
        except _DAMAGE as error:
            raise self._damaged(error) from error
        kind = labels.type.value_type if pa.types.is_dictionary(labels.type) else labels.type
        if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(f"the column {column!r} of {self.name} has the type {kind}; labels are integers or names")
        values: list[Any] = labels.to_pylist()
        if labels.null_count:
            raise InputError(f"{self.name}, row {values.index(None)} has no label; add one, or remove the row")
        return values

    def texts(self, column: str) -> list[str | None]:
        """Return the text of each row."""
        self.find_column((column,), "text")
        try:
            texts = self._table.read(columns=[column])[column]
        except _DAMAGE as error:
            raise self._damaged(error) from error
        if not (pa.types.is_string(texts.type) or pa.types.is_large_string(texts.type)):
            raise InputError(f"the column {column!r} of {self.name} has the type {texts.type}, which is no text")
        values: list[str | None] = texts.to_pylist()
        return values

    def class_names(self, column: str) -> tuple[str, ...] | None:
        """Return the class names in the metadata that the Hub's `datasets` writes; None if there are none."""
        try:
            metadata = json.loads(self._table.schema_arrow.metadata[b"huggingface"])
            return tuple(str(name) for name in metadata["info"]["features"][column]["names"])
        except (KeyError, TypeError, ValueError):
            return None

    def images(self, column: str) -> Iterator[pa.Array]:
        """Yield the encoded images, 256 at a time."""
        self.find_column((column,), "image")
        kind = self._table.schema_arrow.field(column).type
        nested = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
        if not nested and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind):
            raise InputError(
                f"the column {column!r} of {self.name} has the type {kind}; images are bytes or {{bytes, path}}"
            )
        try:
            for batch in self._table.iter_batches(batch_size=256, columns=[column]):
                content = pc.struct_field(batch[column], "bytes") if nested else batch[column]
                yield content.cast(pa.large_binary())
        except _DAMAGE as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> InputError:
        return InputError(f"cannot read {self.name} as parquet: {one_line(error)}; fetch it again")


def write_arrow(target: Path, chunks: Iterator[pa.Array]) -> None:
    """Write encoded images to an Arrow file, which has random access to rows."""
    with pa.OSFile(os.fsencode(target), "wb") as sink, pa.ipc.new_file(sink, _SCHEMA) as out:
        for chunk in chunks:
            out.write_batch(pa.record_batch([chunk], schema=_SCHEMA))


def map_arrow(file: Path) -> pa.ChunkedArray:
    """Memory-map the encoded images of an Arrow file: binary (n,)."""
    return pa.ipc.open_file(pa.memory_map(os.fsencode(file))).read_all()["image"]
