from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modernet.data.sequences.opening import open_sequences
from modernet.errors import InputError


def write(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for split, n in (("train", 6), ("eval", 4), ("test", 2)):
        rows = (f'{i % 2}.0\tid{i}\tid"{i}\tpaper "{i}\tother {i} {"x" * 4000}\n' for i in range(n))
        (folder / f"new_aan_pairs.{split}.tsv").write_text("".join(rows))
    return folder


def test_pairs_have_two_towers(tmp_path: Path) -> None:
    write(tmp_path / "tsv_data")
    dataset = open_sequences(f"retrieval:{tmp_path}")
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [6, 4, 2]
    assert dataset.encoding.inputs.towers == 2
    assert dataset.train.labels.tolist() == [0, 1, 0, 1, 0, 1]
    first, second = dataset.train.towers
    assert bytes((first[3] - 1).astype(np.uint8)) == b'paper "3'
    assert bytes((second[3] - 1).astype(np.uint8)).startswith(b"other 3 xx")
    assert second.lengths.tolist() == [4000] * 6


def test_s4_reads_characters_with_a_mark_at_the_end(tmp_path: Path) -> None:
    encoding = open_sequences(f"retrieval_s4:{write(tmp_path)}").encoding
    assert set(encoding.symbols) == set('paper "other x012345')
    assert encoding.inputs.vocabulary == len(encoding.symbols) + 3


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1.0\ta\tb\tonly one", "has 4 columns, not 5"),
        ("no tab", "has 1 column, not 5"),
        ("2.0\ta\tb\tc\td", "has the label '2.0', not 0.0 or 1.0"),
    ],
)
def test_a_broken_line_is_named_or_skipped(tmp_path: Path, line: str, message: str) -> None:
    file = write(tmp_path) / "new_aan_pairs.eval.tsv"
    with file.open("a") as lines:
        lines.write(f"{line}\n")
    with pytest.raises(InputError, match=f"^{file}, line 5 {message}"):
        open_sequences(f"retrieval:{tmp_path}")
    assert len(open_sequences(f"retrieval:{tmp_path}", skip_unreadable=True).validation) == 4


def test_files_that_are_missing_are_named(tmp_path: Path) -> None:
    (write(tmp_path) / "new_aan_pairs.eval.tsv").unlink()
    with pytest.raises(InputError, match=r"has no new_aan_pairs.eval.tsv; give the folder tsv_data"):
        open_sequences(f"retrieval:{tmp_path}")
    with pytest.raises(
        InputError, match=r"^retrieval cannot be fetched; give the folder of its files, as retrieval:path"
    ):
        open_sequences("retrieval")
