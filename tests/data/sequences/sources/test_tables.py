from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from modernet.data.sequences.dataset import SequenceSplit
from modernet.data.sequences.opening import open_sequences
from modernet.errors import InputError
from modernet.progress import shown

HEADER = "label\ttext"


def write(path: Path, rows: list[str], header: str = HEADER) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *rows]) + "\n", encoding="utf-8", newline="\n")
    return path


def good(n: int, first: int = 0) -> list[str]:
    return [f"{'pos' if i % 2 else 'neg'}\ttext {i}" for i in range(first, first + n)]


def texts(split: SequenceSplit) -> list[str]:
    (ragged,) = split.towers
    return [bytes((ragged[i] - 1).astype(np.uint8)).decode() for i in range(len(ragged))]


def test_one_table_is_split_by_a_hash_of_its_texts(tmp_path: Path) -> None:
    dataset = open_sequences(str(write(tmp_path / "reviews.tsv", good(200))))
    assert (dataset.name, dataset.classes) == ("reviews", ("neg", "pos"))
    assert dataset.provenance["splits"] == "about 80 / 10 / 10 % of each class of the one given set"
    splits = [texts(split) for split in (dataset.train, dataset.validation, dataset.test)]
    assert sorted(text for split in splits for text in split) == sorted(f"text {i}" for i in range(200))
    assert min(map(len, splits)) > 5
    moved = open_sequences(str(write(tmp_path / "moved.tsv", good(210)[::-1])))
    assert set(splits[2]) <= set(texts(moved.test))
    names = dict(zip(dataset.train.names, splits[0], strict=True))
    assert all(text == f"text {int(name.rpartition(' ')[2]) - 2}" for name, text in names.items())
    assert dataset.train.labels.tolist() == [int(text.split()[1]) % 2 for text in splits[0]]


def test_a_folder_has_a_table_for_each_split(tmp_path: Path) -> None:
    for split, n in (("train", 6), ("dev", 4), ("test", 2)):
        write(tmp_path / f"{split}.tsv", good(n))
    dataset = open_sequences(str(tmp_path))
    assert [len(split) for split in (dataset.train, dataset.validation, dataset.test)] == [6, 4, 2]
    assert dataset.provenance["files"].keys() == {"train.tsv", "dev.tsv", "test.tsv"}
    assert not dataset.same_held_out


def test_columns_may_be_in_any_order_and_longest_text_gives_the_length(tmp_path: Path) -> None:
    rows = [f"{i}\t{'x' * (i + 1)}\t{i % 2}" for i in range(12)]
    for split in ("train", "val", "test"):
        write(
            tmp_path / f"{split}.tsv", [*rows, f"0\t{'é' * 2500}\t1"] if split == "train" else rows, "Id\tText\tTarget"
        )
    dataset = open_sequences(str(tmp_path))
    assert dataset.classes == ("0", "1")
    assert dataset.encoding.inputs.max_length == 4000
    assert dataset.train.towers[0].lengths.tolist() == [*range(1, 13), 4000]


def test_source_and_target_are_words(tmp_path: Path) -> None:
    rows = ["( ( [MAX 4 ) 3 ) ]\t4", "( ( ( [MIN 7 ) 3 ) 2 ) ]\t2", "5\t5"]
    for split in ("train", "val", "test"):
        write(tmp_path / f"basic_{split}.tsv", rows, "Source\tTarget")
    dataset = open_sequences(str(tmp_path))
    assert dataset.encoding.kind == "words"
    assert dataset.encoding.inputs.max_length == 5
    assert dataset.encoding.symbols == ("3", "]", "2", "4", "5", "7", "[MAX", "[MIN")
    assert dataset.test.towers[0].lengths.tolist() == [4, 5, 1]
    assert dataset.classes == ("2", "4", "5")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("only a text", "has 1 column, not 2 as the header"),
        ("pos\ta text\tmore", "has 3 columns, not 2 as the header"),
        ("pos\t ", "has no text"),
        ("\ta text", "has no label"),
    ],
)
def test_a_broken_row_is_named_or_skipped(
    tmp_path: Path, row: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path / "a.tsv", [*good(40), row, *good(40, 40)])
    with pytest.raises(InputError) as caught:
        open_sequences(str(file))
    assert str(caught.value) == (
        f"{file}, line 42 {message}; repair it, remove it, or skip such rows with skip_unreadable=True "
        "(--skip-unreadable)"
    )
    with shown():
        dataset = open_sequences(str(file), skip_unreadable=True)
    assert dataset.unreadable == (f"{file}, line 42",)
    assert sum(map(len, (dataset.train, dataset.validation, dataset.test))) == 80
    assert f"a: skipped 1 row that cannot be read:\n  {file}, line 42 {message}\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("label\tbody", good(3), "has the columns label, body; the first line must name them, the text column text or"),
        ("pos\ta text", good(3), "the label column label or labels or"),
        ("", [], "has no header; its first line must name the columns"),
        (HEADER, [], "has no row to read; add a row for each text"),
        (HEADER, ["pos\ta", *good(9)[::2]], "the class 'pos' in .* has too few rows, 1; splitting it into train"),
        (HEADER, good(20)[::2], "has one class, 'neg'; a network needs at least two"),
    ],
)
def test_tables_that_cannot_be_learned_from_are_refused(
    tmp_path: Path, header: str, rows: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        open_sequences(str(write(tmp_path / "a.tsv", rows, header)))


def test_a_label_that_is_not_in_train_is_named(tmp_path: Path) -> None:
    for split in ("train", "val"):
        write(tmp_path / f"{split}.tsv", good(6))
    file = write(tmp_path / "test.tsv", ["other\ta text"])
    with pytest.raises(InputError, match=f"^{file}, line 2 has the label 'other'; there are 2 classes"):
        open_sequences(str(tmp_path))


def test_the_floor_is_the_most_frequent_training_class(tmp_path: Path) -> None:
    write(tmp_path / "train.tsv", [*good(6), "pos\tmore"])
    write(tmp_path / "val.tsv", good(4))
    write(tmp_path / "test.tsv", [*good(2), "neg\tmore", "neg\tand more"])
    assert open_sequences(str(tmp_path)).floors == {"the most frequent class": 25.0}


def test_bytes_that_are_no_text_are_read_as_they_are(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        (tmp_path / f"{split}.tsv").write_bytes(b"\xef\xbb\xbflabel\ttext\r\na\t\xff\xfe\r\nb\tx\ry\r\n")
    (ragged,) = open_sequences(str(tmp_path)).train.towers
    assert [ragged[i].tolist() for i in range(2)] == [[256, 255], [121, 14, 122]]
