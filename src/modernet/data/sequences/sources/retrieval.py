"""The Arena's Retrieval: pairs of papers of the ACL Anthology Network, and whether one cites the other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from modernet.data.sequences.sources.rows import Broken, Row, RowSource
from modernet.data.sequences.sources.tables import count_of_columns
from modernet.errors import InputError
from modernet.files.fingerprint import file_sha256

_CLASSES = ("no citation", "citation")
_FILES = tuple(f"new_aan_pairs.{split}.tsv" for split in ("train", "eval", "test"))
_COLUMNS = "label, id, id, text, text"


def read_retrieval(path: Path) -> RowSource:
    """Read `new_aan_pairs.train.tsv`, `.eval.tsv` and `.test.tsv` of `lra_release.gz`, in a folder or its `tsv_data`.

    As published they have 147,086, 18,090 and 17,437 pairs, a line each: label, two ids, two texts, separated by tabs
    without header and quotes.

    Raises:
        InputError: a file is missing.
    """
    folder = path / "tsv_data" if (path / "tsv_data").is_dir() else path
    files = [folder / name for name in _FILES]
    missing = [file.name for file in files if not file.is_file()]
    if missing:
        raise InputError(
            f"{folder} has no {' and no '.join(missing)}; give the folder tsv_data of the Long Range Arena's archive "
            "lra_release.gz (the papers' own site is gone)"
        )
    train, validation, test = map(_Pairs, files)
    digests = {file.name: file_sha256(file) for file in files}
    return RowSource(path, train, validation, test, {"data": "AAN", "files": digests}, _CLASSES)


class _Pairs:
    """The rows of one file, which may be of more than a gigabyte."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __iter__(self) -> Iterator[Row | Broken]:
        with self.file.open(encoding="utf-8", errors="surrogateescape", newline="\n") as lines:
            for number, line in enumerate(lines, 1):
                fields = line.rstrip("\r\n").split("\t")
                name = f"{self.file}, line {number}"
                if len(fields) != 5:
                    yield Broken(name, f"has {count_of_columns(fields)}, not 5 ({_COLUMNS})")
                elif fields[0] not in ("0", "1", "0.0", "1.0"):
                    yield Broken(name, f"has the label {fields[0]!r}, not 0.0 or 1.0")
                else:
                    yield Row(name, _CLASSES[int(fields[0][0])], (fields[3], fields[4]))
