from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from modernet.data.checking.check import check_images
from modernet.data.sources.examples import Examples
from modernet.data.sources.read import read_source
from modernet.errors import InputError
from modernet.progress import shown

NAMES = ("c.png", "a.png", "b.png")


@pytest.fixture
def folder(tmp_path: Path, write_image) -> Path:
    """Three images, directly in a folder."""
    for number, name in enumerate(NAMES):
        write_image(tmp_path / "flat" / name, seed=number)
    return tmp_path / "flat"


def write_csv(file: Path, rows: Sequence[str]) -> Path:
    file.write_text("\n".join([*rows, ""]))
    return file


def write_jsonl(file: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    return write_csv(file, [json.dumps(row) for row in rows])


def labels(split: Examples | None) -> dict[str, int]:
    assert split is not None
    return {split.images.identity(index): int(split.labels[index]) for index in range(len(split))}


def test_a_table_of_datasets_imagefolder_is_read(folder: Path) -> None:
    rows = [{"file_name": name, "label": label, "text": "..."} for name, label in zip(NAMES, "yxy", strict=True)]
    write_jsonl(folder / "metadata.jsonl", rows)
    source = read_source(str(folder)).source
    assert (source.classes, labels(source.train)) == (("x", "y"), {"c.png": 1, "a.png": 0, "b.png": 1})
    assert (source.validation, source.test) == (None, None)
    (folder / "metadata.jsonl").unlink()
    write_csv(folder / "metadata.csv", ["file_name,label", "c.png,1", "a.png,0", "b.png,2"])
    source = read_source(str(folder)).source
    assert (source.classes, labels(source.train)) == (("0", "1", "2"), {"c.png": 1, "a.png": 0, "b.png": 2})
    assert check_images(str(folder)).images == 3


def test_tables_in_split_folders_and_files_in_them_have_splits(tmp_path: Path, write_image) -> None:
    for split in ("train", "test"):
        for number in range(4):
            write_image(tmp_path / split / f"{number}.png", seed=number)
        rows = [{"file_name": f"{number}.png", "label": "ab"[number % 2]} for number in range(4)]
        write_jsonl(tmp_path / split / "metadata.jsonl", rows)
    expected = {f"{number}.png": number % 2 for number in range(4)}
    source = read_source(str(tmp_path)).source
    assert labels(source.train) == labels(source.test) == expected
    for split in ("train", "test"):
        (tmp_path / split / "metadata.jsonl").unlink()
    rows = [f"{split}/{number}.png,{'ab'[number % 2]}" for split in ("train", "test") for number in range(4)]
    write_csv(tmp_path / "metadata.csv", ["file_name,label", *rows])
    source = read_source(str(tmp_path)).source
    assert labels(source.test) == {f"test/{name}": label for name, label in expected.items()}
    assert len(source.train) == 4


@pytest.mark.parametrize("images", ["", "images/", "labels/"])
@pytest.mark.parametrize("header", ["file,label", "id,category", "Image,Class"])
@pytest.mark.parametrize("suffix", [".png", ""])
def test_a_csv_beside_images_is_read(tmp_path: Path, write_image, images: str, header: str, suffix: str) -> None:
    for number in range(3):
        write_image(tmp_path / f"{images}{number}.png", seed=number)
    rows = [f"{number}{suffix},{label}" for number, label in enumerate(("cat", "hot dog", "cat"))]
    write_csv(tmp_path / "labels.csv", [header, *rows])
    source = read_source(str(tmp_path)).source
    assert source.classes == ("cat", "hot dog")
    assert labels(source.train) == {f"{images}0.png": 0, f"{images}1.png": 1, f"{images}2.png": 0}


def test_kaggles_layout_is_read_without_its_test(tmp_path: Path, write_image, capsys) -> None:
    for split in ("train", "test"):
        for number in range(3):
            write_image(tmp_path / split / f"{number}.png", seed=number)
    write_csv(tmp_path / "train.csv", ["id,label", *(f"{number},{number % 2}" for number in range(3))])
    write_csv(tmp_path / "test.csv", ["id", "0", "1", "2"])
    write_csv(tmp_path / "sample_submission.csv", ["id,label", "0,0", "1,0", "2,0"])
    with shown():
        source = read_source(str(tmp_path)).source
    assert labels(source.train) == {"train/0.png": 0, "train/1.png": 1, "train/2.png": 0}
    assert source.test is None
    assert "3 images in" in capsys.readouterr().err


def test_a_column_of_splits_is_followed(folder: Path) -> None:
    write_csv(folder / "labels.csv", ["file,label,split", "a.png,x,train", "b.png,y,train", "c.png,x,test"])
    source = read_source(str(folder)).source
    assert (len(source.train), labels(source.test)) == (2, {"c.png": 0})


def test_names_that_are_not_utf8_are_matched(folder: Path) -> None:
    (folder / "a.png").rename(folder / os.fsdecode(b"\xe9.png"))
    (folder / "labels.csv").write_bytes(b"file,label\n\xe9.png,\xe9t\xe9\nb.png,hiver\nc.png,hiver\n")
    source = read_source(str(folder)).source
    assert source.classes == ("\\xe9t\\xe9", "hiver")
    assert len(source.train.images.content(0)) > 0


def test_numbers_mean_the_same_in_every_table(tmp_path: Path, write_image) -> None:
    for number in range(5):
        write_image(tmp_path / "images" / f"{number}.png", seed=number)
    write_csv(tmp_path / "test.csv", ["file,label", "3.png,1", "4.png,2"])
    write_csv(tmp_path / "train.csv", ["file,label", "0.png,10", "1.png,2", "2.png,1"])
    source = read_source(str(tmp_path)).source
    assert source.classes == ("1", "2", "10")
    assert labels(source.test) == {"images/3.png": 0, "images/4.png": 1}

    write_csv(tmp_path / "train.csv", ["file,label", "0.png,x", "1.png,2", "2.png,1"])
    source = read_source(str(tmp_path)).source
    assert source.classes == ("1", "2", "x")
    assert labels(source.test) == {"images/3.png": 0, "images/4.png": 1}


def test_a_test_table_of_hidden_labels_is_not_used(tmp_path: Path, write_image) -> None:
    for number in range(4):
        write_image(tmp_path / "images" / f"{number}.png", seed=number)
    write_csv(tmp_path / "train.csv", ["file,label", "0.png,-1", "1.png,1"])
    write_csv(tmp_path / "test.csv", ["file,label", "2.png,-1", "3.png,-1"])
    source = read_source(str(tmp_path)).source
    assert (source.classes, labels(source.train), source.test) == (
        ("-1", "1"),
        {"images/0.png": 0, "images/1.png": 1},
        None,
    )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["file,label", "d.png,x"], r"row 1: there is no image d.png in .*flat; add it, or remove the row"),
        (["file,label", "a.png,x", "b.png,"], r"row 2 has the label ''; give one number or name, or remove the row"),
        (["file,label", ",x"], r"row 1 has no file; add one, or remove the row"),
        (["file,label", "a.png,x", "a.png,y"], r"row 2 gives a.png a second label; an image has one"),
        (["file,label,split", "a.png,x,maybe"], r"row 1 has the split 'maybe'; give train, validation or test"),
        (["file,label,split", "a.png,x,train", "b.png,x,"], r"row 2 has no split, but others do; give all of them one"),
    ],
)
def test_tables_that_cannot_be_used_are_explained(folder: Path, rows: list[str], message: str) -> None:
    write_csv(folder / "labels.csv", rows)
    with pytest.raises(InputError, match=message) as caught:
        read_source(str(folder))
    assert "\n" not in str(caught.value)


def test_a_table_of_datasets_without_labels_is_named(folder: Path) -> None:
    write_jsonl(folder / "metadata.jsonl", [{"file_name": "a.png", "text": "a letter"}])
    with pytest.raises(InputError, match=r"has the columns file_name, text; the label column must be named label or"):
        read_source(str(folder))
    (folder / "metadata.jsonl").write_text("{")
    with pytest.raises(InputError, match=r"cannot read the table .*metadata.jsonl: .*; correct it, or remove it"):
        read_source(str(folder))


def test_a_file_in_two_folders_is_in_doubt(tmp_path: Path, write_image) -> None:
    for split in ("train", "test"):
        write_image(tmp_path / split / "0.png")
    write_csv(tmp_path / "labels.csv", ["file,label", "0.png,x"])
    with pytest.raises(InputError, match=r"row 1: 0.png is in several folders of .*; give its folder too"):
        read_source(str(tmp_path))
    write_csv(tmp_path / "labels.csv", ["file,label", "test/0.png,x", "train/0.png,x"])
    with pytest.raises(InputError, match=r"has only the class 'x'"):
        read_source(str(tmp_path))


def test_two_tables_are_in_doubt(folder: Path) -> None:
    for name in ("a.csv", "b.csv"):
        write_csv(folder / name, ["file,label", "a.png,x"])
    with pytest.raises(InputError, match=r"has several tables of labels: a.csv, b.csv; keep one"):
        read_source(str(folder))


def test_class_folders_count_more_than_a_csv(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path)
    write_csv(tmp_path / "labels.csv", ["file,label", "cat/000.png,x"])
    write_jsonl(tmp_path / "metadata.jsonl", [{"file_name": "cat/000.png", "text": "a letter"}])
    assert read_source(str(tmp_path)).source.classes == ("cat", "dog")


def test_without_targets_a_table_is_not_needed(folder: Path) -> None:
    write_csv(folder / "labels.csv", ["file,label", "d.png,x"])
    assert len(read_source(str(folder), targets="none").source.train) == 3
