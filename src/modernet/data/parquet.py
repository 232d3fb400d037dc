"""Parquet in the image layout of the Hugging Face Hub: `train-00000-of-00005.parquet`, an image and a label column."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modernet.atomic import whole_file
from modernet.data.cache import cache_folder
from modernet.data.labels import as_indices, classes_of
from modernet.data.pictures import EncodedPictures, UnreadablePicture, is_hidden
from modernet.data.source import SPLIT_NAMES, Labelled, Source, all_of
from modernet.errors import InputError
from modernet.progress import say, track

_SPLIT = re.compile(rf"({'|'.join(SPLIT_NAMES)})(?![a-z]).*\.parquet", re.IGNORECASE)
_IMAGE_COLUMNS = ("image", "img", "picture")
_LABEL_COLUMNS = ("label", "labels", "fine_label", "class", "target")
_DAMAGE = (OSError, pa.ArrowException)  # what pyarrow raises on a damaged file


def parquet_files(path: Path) -> dict[str, list[Path]]:
    """The files of each split, in a folder or in the one folder directly below it (`data/`, `plain_text/`) that has
    some.

    Raises:
        InputError: several folders below have some.
    """
    found = _files_in(path)
    if found:
        return found
    below = {entry: files for entry in sorted(path.iterdir()) if entry.is_dir() and (files := _files_in(entry))}
    if len(below) > 1:
        names = ", ".join(folder.name for folder in below)
        raise InputError(f"several folders in {path} hold parquet files: {names}; give one of them")
    return next(iter(below.values()), {})


def read_parquet(path: Path, files: dict[str, list[Path]], memory_limit_mb: int) -> Source:
    """Read the splits of a data set.

    The image column is called image, img or picture and holds {bytes, path} or bytes; the label column label, labels,
    fine_label, class or target, and holds integers or names. Names of classes come from the schema's huggingface
    metadata. A test split whose labels are all -1, the Hub's sign for hidden labels, does not count.

    Args:
        files: each split's files, as `parquet_files` found them.
        memory_limit_mb: encoded pictures beyond it are first copied to an Arrow file in the cache folder, since rows
            of parquet cannot be reached one by one.

    Raises:
        InputError: a file is damaged, a column is missing, a label is missing or out of range.
    """
    if "train" not in files:
        raise InputError(f"{path} has parquet files for {', '.join(files)}, but none called train-*.parquet")
    tables = {split: [_open(file) for file in paths] for split, paths in files.items()}
    first = tables["train"][0]
    image_column = _column(first, files["train"][0], _IMAGE_COLUMNS, "image")
    label_column = _column(first, files["train"][0], _LABEL_COLUMNS, "label")
    raw = {split: _raw_labels(files[split], tables[split], label_column) for split in files}
    if "test" in raw and len(raw["test"]) and all(label == -1 for label in raw["test"]):
        say(f"the labels of {path}'s test split are hidden; it is not used")
        del raw["test"]

    classes = _class_names(first, label_column) or classes_of(raw["train"])
    megabytes = sum(file.stat().st_size for split in raw for file in files[split]) / 2**20
    splits: dict[str, Labelled] = {}
    for split, values in raw.items():
        names = RowNames(files[split], [table.metadata.num_rows for table in tables[split]])
        labels = as_indices(values, classes, names.__getitem__)
        if megabytes <= memory_limit_mb:
            pictures = ParquetPictures(_read_images(files[split], image_column), names)
        else:
            pictures = MappedPictures(_copy_to_arrow(files[split], image_column), names)
        splits[split] = all_of(pictures, labels)
    return Source(path, classes, splits["train"], splits.get("validation"), splits.get("test"))


class RowNames:
    """Row numbers over several files -> file and row."""

    def __init__(self, files: Sequence[Path], rows: Sequence[int]) -> None:
        self._files, self._ends = files, np.cumsum(rows)

    def __getitem__(self, row: int) -> str:
        """For messages."""
        file, row_of_file = self._find(row)
        return f"{file}, row {row_of_file}"

    def identity(self, row: int) -> str:
        """Without the folder, which may be moved."""
        file, row_of_file = self._find(row)
        return f"{file.name}, row {row_of_file}"

    def _find(self, row: int) -> tuple[Path, int]:
        file = int(np.searchsorted(self._ends, row, side="right"))
        start = int(self._ends[file - 1]) if file else 0
        return self._files[file], row - start


class ParquetPictures(EncodedPictures):
    """Encoded pictures in an Arrow column.

    Args:
        column: binary (n,)
    """

    def __init__(self, column: pa.ChunkedArray, names: RowNames) -> None:
        self._column, self._names = column, names

    def __len__(self) -> int:
        return len(self._column)

    def name(self, index: int) -> str:
        return self._names[index]

    def identity(self, index: int) -> str:
        return self._names.identity(index)

    def content(self, index: int) -> bytes:
        content = self._column[index].as_py()
        if content is None:
            raise UnreadablePicture(self.name(index), "the row holds no bytes")
        assert isinstance(content, bytes)
        return content


class MappedPictures(ParquetPictures):
    """The same in an Arrow file, mapped into memory; another process maps the file again instead of getting its
    content.
    """

    def __init__(self, file: Path, names: RowNames) -> None:
        super().__init__(pa.ipc.open_file(pa.memory_map(str(file))).read_all()["image"], names)
        self._file = file

    def __reduce__(self) -> tuple[type[MappedPictures], tuple[Path, RowNames]]:
        return MappedPictures, (self._file, self._names)


def _files_in(folder: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for file in sorted(folder.iterdir()):
        match = _SPLIT.fullmatch(file.name)
        if match and file.is_file() and not is_hidden(file.name):
            found.setdefault(SPLIT_NAMES[match[1].lower()], []).append(file)
    return found


def _open(file: Path) -> pq.ParquetFile:
    try:
        return pq.ParquetFile(file)
    except _DAMAGE as error:
        raise _damaged(file, error) from error


def _damaged(file: Path, error: Exception) -> InputError:
    return InputError(f"cannot read {file} as parquet: {' '.join(str(error).split())}; fetch it again")


def _column(table: pq.ParquetFile, file: Path, accepted: tuple[str, ...], kind: str) -> str:
    names = table.schema_arrow.names
    for name in accepted:
        if name in names:
            return name
    raise InputError(
        f"{file} has the columns {', '.join(names)}; the {kind} column must be called {' or '.join(accepted)}"
    )


def _raw_labels(files: Sequence[Path], tables: Sequence[pq.ParquetFile], column: str) -> list[int] | list[str]:
    """The label column of a split: integers, or names."""
    values: list[Any] = []
    for file, table in zip(files, tables, strict=True):
        _column(table, file, (column,), "label")
        try:
            labels = table.read(columns=[column])[column]
        except _DAMAGE as error:
            raise _damaged(file, error) from error
        kind = labels.type.value_type if pa.types.is_dictionary(labels.type) else labels.type
        if not (pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise InputError(f"the column {column!r} of {file} holds {kind}; labels are integers or names")
        values += labels.to_pylist()
        if labels.null_count:
            row = values[-len(labels) :].index(None)
            raise InputError(f"{file}, row {row} has no label; give it one, or remove the row")
    return values


def _class_names(table: pq.ParquetFile, column: str) -> tuple[str, ...] | None:
    """Names from the metadata that the Hub's `datasets` writes; None where there are none."""
    try:
        metadata = json.loads(table.schema_arrow.metadata[b"huggingface"])
        return tuple(str(name) for name in metadata["info"]["features"][column]["names"])
    except (KeyError, TypeError, ValueError):
        return None


def _read_images(files: Sequence[Path], column: str) -> pa.ChunkedArray:
    chunks = [chunk for file in files for chunk in _image_chunks(file, column)]
    return pa.chunked_array(chunks, type=pa.large_binary())


def _copy_to_arrow(files: Sequence[Path], column: str) -> Path:
    """An Arrow file of the pictures' bytes in the cache folder, made once for these files as they are now."""
    states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    digest = sha256(repr((states, column)).encode()).hexdigest()[:16]
    target = cache_folder() / "parquet" / f"{files[0].stem}-{digest}.arrow"
    if target.exists():
        return target
    schema = pa.schema({"image": pa.large_binary()})
    try:
        with (
            whole_file(target) as unfinished,
            pa.OSFile(str(unfinished), "wb") as sink,
            pa.ipc.new_file(sink, schema) as out,
        ):
            for file in track(files, f"copying parquet to {target.parent}", len(files)):
                for chunk in _image_chunks(file, column):
                    out.write_batch(pa.record_batch([chunk], schema=schema))
    except OSError as error:
        raise InputError(
            f"cannot copy the pictures to {target}: {error}; set MODERNET_CACHE to a folder on a disk with room"
        ) from error
    return target


def _image_chunks(file: Path, column: str) -> Iterator[pa.Array]:
    """The bytes of a file's pictures, some hundred at a time."""
    table = _open(file)
    _column(table, file, (column,), "image")
    kind = table.schema_arrow.field(column).type
    nested = pa.types.is_struct(kind) and kind.get_field_index("bytes") >= 0
    if not nested and not pa.types.is_binary(kind) and not pa.types.is_large_binary(kind):
        raise InputError(f"the column {column!r} of {file} holds {kind}; pictures are bytes or {{bytes, path}}")
    try:
        for batch in table.iter_batches(batch_size=256, columns=[column]):
            content = pc.struct_field(batch[column], "bytes") if nested else batch[column]
            yield content.cast(pa.large_binary())
    except _DAMAGE as error:
        raise _damaged(file, error) from error
