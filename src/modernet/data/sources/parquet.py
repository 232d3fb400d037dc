"""Parquet in the image layout of the Hugging Face Hub: `train-00000-of-00005.parquet`, an image and a label column."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePath

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from modernet.data.images.collection import EncodedImages
from modernet.data.images.decoding import UnreadableImage
from modernet.data.sources.assemble import assemble
from modernet.data.sources.examples import Source
from modernet.data.sources.parquet_columns import IMAGE_COLUMNS, LABEL_COLUMNS, ParquetFile, map_arrow, write_arrow
from modernet.data.sources.split_files import split_files
from modernet.errors import InputError
from modernet.files.atomic import whole_file
from modernet.files.cache import cache_folder, only_one
from modernet.files.fingerprint import json_sha256
from modernet.files.names import valid_text
from modernet.progress import track


def parquet_files(path: Path) -> dict[str, list[Path]]:
    """Return the files of each split, as `split_files` finds them.

    Raises:
        InputError: several folders below have some.
    """
    return split_files(path, ".parquet")


def read_parquet(path: Path, files: dict[str, list[Path]], memory_limit_mb: int) -> Source:
    """Read the splits of a data set.

    The image column is named image, img or picture and has {bytes, path} or bytes; the label column is named label,
    labels, fine_label, class or target, and has integers or names. Class names come from the schema's huggingface
    metadata. A test split whose labels are all -1, the Hub's sign of hidden labels, is dropped.

    Args:
        files: of each split, from `parquet_files`.
        memory_limit_mb: larger data sets (encoded) are first copied to an Arrow file in the cache folder, since parquet
            has no random access to rows.

    Raises:
        InputError: a file is damaged, a column is missing, a label is missing or out of range.
    """
    tables = {split: [_open(file) for file in paths] for split, paths in files.items()}
    first = (tables.get("train") or next(iter(tables.values())))[0]
    image_column = first.find_column(IMAGE_COLUMNS, "image")
    label_column = first.find_column(LABEL_COLUMNS, "label")
    labels: dict[str, list[int | str]] = {
        split: [label for table in tables[split] for label in table.labels(label_column)] for split in files
    }
    names = {split: RowNames(files[split], [table.rows for table in tables[split]]) for split in files}
    in_memory = sum(file.stat().st_size for paths in files.values() for file in paths) <= memory_limit_mb * 2**20

    def images_of(split: str) -> tuple[ParquetImages, None]:
        if not in_memory:
            return MappedImages(_copy_to_arrow(files[split], image_column), names[split]), None
        chunks = [chunk for table in tables[split] for chunk in table.images(image_column)]
        return ParquetImages(pa.chunked_array(chunks, type=pa.large_binary()), names[split]), None

    return assemble(
        path,
        labels,
        images_of,
        name_of=lambda split, row: names[split][row],
        classes=first.class_names(label_column) or None,
    )


class RowNames:
    """Names of the rows of several files, numbered consecutively."""

    def __init__(self, files: Sequence[PurePath], rows: Sequence[int]) -> None:
        self._files, self._ends = files, np.cumsum(rows)

    def __getitem__(self, row: int) -> str:
        """Return the name of a row in messages."""
        file, row_of_file = self.find(row)
        return valid_text(f"{self._files[file]}, row {row_of_file}")

    def identity(self, row: int) -> str:
        """Return the name without the folder, which may be moved."""
        file, row_of_file = self.find(row)
        return f"{self._files[file].name}, row {row_of_file}"

    def find(self, row: int) -> tuple[int, int]:
        """Return the index of the file, and the row in it."""
        file = int(np.searchsorted(self._ends, row, side="right"))
        return file, row - (int(self._ends[file - 1]) if file else 0)


class ParquetImages(EncodedImages):
    """Encoded images in an Arrow column.

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

    def versions(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        sizes = pc.fill_null(pc.binary_length(self._column), -1).to_numpy()
        return np.asarray(sizes[indices], dtype=np.int64)

    def content(self, index: int) -> bytes:
        content = self._column[index].as_py()
        if content is None:
            raise UnreadableImage(self.name(index), "the row has no bytes")
        assert isinstance(content, bytes)
        return content


class MappedImages(ParquetImages):
    """Encoded images in a memory-mapped Arrow file; unpickling maps the file again instead of copying its content."""

    def __init__(self, file: Path, names: RowNames) -> None:
        super().__init__(map_arrow(file), names)
        self._file = file

    def __reduce__(self) -> tuple[type[MappedImages], tuple[Path, RowNames]]:
        return MappedImages, (self._file, self._names)


def _copy_to_arrow(files: Sequence[Path], column: str) -> Path:
    """Return an Arrow file of the images' bytes in the cache folder, made again when a file changes."""
    states = [(str(file.resolve()), file.stat().st_size, file.stat().st_mtime_ns) for file in files]
    digest = json_sha256([states, column])[:16]
    target = cache_folder() / "parquet" / f"{files[0].stem}-{digest}.arrow"
    if target.exists():
        return target
    tracked = track(files, f"copying parquet to {target.parent}", len(files))
    try:
        with only_one(target):
            if not target.exists():
                with whole_file(target) as unfinished:
                    write_arrow(unfinished, (chunk for file in tracked for chunk in _open(file).images(column)))
    except OSError as error:
        raise InputError(
            f"cannot copy the images to {target}: {error}; set MODERNET_CACHE to a folder on a disk with room"
        ) from error
    return target


def _open(file: Path) -> ParquetFile:
    return ParquetFile(file, file)
