"""IMDB's film reviews (Maas et al. 2011), the Arena's Text: 25,000 to learn from and 25,000 to test on, two classes."""

from __future__ import annotations

import gzip
import json
import lzma
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

from modernet.data.sequences.sources.rows import Broken, Row, Rows, RowSource
from modernet.data.sources.parquet import parquet_files
from modernet.data.sources.parquet_columns import LABEL_COLUMNS, ParquetFile
from modernet.errors import InputError, one_line
from modernet.files.atomic import whole_file
from modernet.files.cache import cache_folder, only_one
from modernet.files.fetch import FetchError, fetch
from modernet.files.fingerprint import file_sha256
from modernet.files.names import valid_text
from modernet.progress import say

ADDRESS = "https://ai.stanford.edu/~amaas/data/sentiment/aclImdb_v1.tar.gz"
SHA256 = "c40f74a18d3b61f90feba1e17730e0d38e8b97c05fde7008942e91923d1658fe"

_CLASSES = ("neg", "pos")
_SPLITS = ("train", "test")
_OPEN: dict[str, Callable[[Path, str], Any]] = {".jsonl": open, ".jsonl.gz": gzip.open, ".jsonl.xz": lzma.open}
_DAMAGE = (OSError, EOFError, lzma.LZMAError, tarfile.TarError)


def read_imdb(path: Path) -> RowSource:
    """Read `train` and `test` as `.jsonl`, `.jsonl.gz` or `.jsonl.xz` with text and label in each line, as aclImdb's
    folders `train/neg/*.txt`, ..., or as the Hub's parquet.

    There is no validation split: as in the Arena, it is the test split.

    Raises:
        InputError: it is none of these, or a file is damaged.
    """
    for folder in (path, path / "aclImdb"):
        for suffix, opener in _OPEN.items():
            files = [folder / f"{split}{suffix}" for split in _SPLITS]
            if all(file.is_file() for file in files):
                return _source(path, [_Lines(file, opener) for file in files], _digests(files))
        if all((folder / split / name).is_dir() for split in _SPLITS for name in _CLASSES):
            folders = [_TextFiles(folder / split) for split in _SPLITS]
            return _source(path, folders, {f"{rows.folder.name}/*/*.txt": len(rows.files) for rows in folders})
    found = parquet_files(path)
    if all(split in found for split in _SPLITS):
        tables = [_Tables(found[split]) for split in _SPLITS]
        return _source(path, tables, _digests([file for rows in tables for file in rows.files]))
    raise InputError(
        f"{path} has no known layout of IMDB; give a folder with train.jsonl.xz and test.jsonl.xz (or .jsonl, "
        ".jsonl.gz), with aclImdb's train/neg, train/pos, test/neg and test/pos, or with the Hub's parquet files"
    )


def fetch_imdb(download: bool) -> Path:
    """Return the folder of the cache that has IMDB, fetched first if it is missing.

    Args:
        download: whether it may be fetched.

    Raises:
        InputError: it is neither cached nor can be fetched.
    """
    folder = cache_folder() / "imdb"
    wanted = [folder / f"{split}.jsonl" for split in _SPLITS]
    with only_one(folder / "unpacking"):
        if all(file.is_file() for file in wanted):
            return folder
        archive = folder / ADDRESS.rpartition("/")[2]
        try:
            if not archive.is_file():
                if not download:
                    raise FetchError("downloading is switched off")
                say(f"fetching {ADDRESS}")
            fetch(ADDRESS, archive, sha256=SHA256)
        except FetchError as error:
            raise InputError(
                f"IMDB is not in the cache and cannot be fetched ({error}); put {archive.name} from {ADDRESS} into "
                f"{folder}, or give the folder of a copy as text:FOLDER"
            ) from error
        say(f"unpacking {archive}")
        try:
            _unpack(archive, *wanted)
        except _DAMAGE as error:
            raise InputError(f"cannot unpack {archive}: {one_line(error)}; remove it, and start again") from error
        archive.unlink()
    return folder


def _unpack(archive: Path, train: Path, test: Path) -> None:
    """Copy the reviews of an archive, whose members need not be in order, to a file for each split."""
    found: dict[str, dict[str, str]] = {"train": {}, "test": {}}
    with tarfile.open(archive) as tar:
        for member in tar:
            split, label, name = Path(member.name).parts[-3:] if member.name.count("/") >= 2 else ("", "", "")
            if split in found and label in _CLASSES and name.endswith(".txt") and (content := tar.extractfile(member)):
                text = content.read().decode(errors="surrogateescape")
                found[split][member.name] = json.dumps({"text": text, "label": _CLASSES.index(label)})
    for split, file in zip(_SPLITS, (train, test), strict=True):
        with whole_file(file) as unfinished:
            unfinished.write_text("".join(f"{found[split][name]}\n" for name in sorted(found[split])))


def _digests(files: Sequence[Path]) -> dict[str, str]:
    return {file.name: file_sha256(file) for file in files}


def _source(path: Path, rows: Sequence[Rows], files: Mapping[str, Any]) -> RowSource:
    train, test = rows
    return RowSource(path, train, None, test, {"data": "IMDB", "files": dict(files)}, _CLASSES)


def _row(name: str, text: object, label: object) -> Row | Broken:
    names: dict[object, str] = {**dict(enumerate(_CLASSES)), **{known: known for known in _CLASSES}}
    if isinstance(label, bool) or not isinstance(label, str | int) or label not in names:
        return Broken(name, f"has the label {label!r}, not 0 (neg) or 1 (pos)")
    if not isinstance(text, str) or _is_half_a_character(text):
        return Broken(name, "has no text")
    return Row(name, names[label], (text,))


def _is_half_a_character(text: str) -> bool:
    """Return whether JSON has escaped half a character alone, which is no text in any encoding."""
    try:
        text.encode(errors="surrogateescape")
    except UnicodeEncodeError:
        return True
    return False


class _Lines:
    """The rows of a file with a JSON object in each line."""

    def __init__(self, file: Path, opener: Callable[[Path, str], Any]) -> None:
        self.file, self._open = file, opener

    def __iter__(self) -> Iterator[Row | Broken]:
        lines: IO[bytes]
        try:
            with self._open(self.file, "rb") as lines:
                for number, line in enumerate(lines, 1):
                    if line.strip():
                        yield self._row(f"{self.file}, line {number}", line)
        except _DAMAGE as error:
            raise InputError(f"cannot read {self.file}: {one_line(error)}; fetch it again") from error

    @staticmethod
    def _row(name: str, line: bytes) -> Row | Broken:
        try:
            found = json.loads(line)
        except (ValueError, RecursionError):
            found = None
        if not isinstance(found, dict):
            return Broken(name, 'is no JSON object, such as {"text": "A film ...", "label": 1}')
        return _row(name, found.get("text"), found.get("label"))


class _TextFiles:
    """The rows of a split that has a folder of text files for each class."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.files = [(file, name) for name in _CLASSES for file in sorted((folder / name).glob("*.txt"))]

    def __iter__(self) -> Iterator[Row | Broken]:
        for file, label in self.files:
            name = valid_text(str(file))
            try:
                yield Row(name, label, (file.read_bytes().decode(errors="surrogateescape"),))
            except OSError as error:
                yield Broken(name, f"cannot be read ({error.strerror})")


class _Tables:
    """The rows of parquet files."""

    def __init__(self, files: list[Path]) -> None:
        self.files = files

    def __iter__(self) -> Iterator[Row | Broken]:
        for file in self.files:
            table = ParquetFile(file, file)
            labels = table.labels(table.find_column(LABEL_COLUMNS, "label"))
            for number, (text, label) in enumerate(zip(table.texts("text"), labels, strict=True)):
                yield _row(f"{file}, row {number}", text, label)
