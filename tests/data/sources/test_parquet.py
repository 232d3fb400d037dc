from __future__ import annotations

import io
import json
import os
import pickle
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from PIL import Image

from modernet.data import OnDisk, open_dataset
from modernet.data.sources.parquet import MappedImages, RowNames, parquet_files, read_parquet
from modernet.data.sources.read import read_source
from modernet.data.splits import three_splits
from modernet.errors import InputError
from modernet.progress import shown

NAMES = ("cat", "dog")


def encoded(value: int, size: int = 4) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (size, size), (value, value, value)).save(file, "PNG")
    return file.getvalue()


def write(
    file: Path,
    labels: Sequence[Any],
    *,
    images: Sequence[bytes | None] | None = None,
    columns: tuple[str, str] = ("image", "label"),
    names: Sequence[str] | None = NAMES,
    struct: bool = True,
    row_group_size: int = 3,
    first: int = 0,
) -> Path:
    """A file of the Hub's layout; image i is of the colour `first` + i."""
    file.parent.mkdir(parents=True, exist_ok=True)
    content = [encoded(first + i) for i in range(len(labels))] if images is None else images
    cells = [{"bytes": data, "path": f"{i}.png"} for i, data in enumerate(content)] if struct else content
    table = pa.table({columns[0]: cells, columns[1]: pa.array(labels)})
    if names is not None:
        features = {columns[1]: {"names": list(names), "_type": "ClassLabel"}}
        table = table.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    pq.write_table(table, file, row_group_size=row_group_size)
    return file


def opened(path: Path, memory_limit_mb: int = 100):
    return read_parquet(path, parquet_files(path), memory_limit_mb)


def colours(split) -> list[int]:
    return [int(split.images.read(int(index))[0, 0, 0]) for index in split.indices]


@pytest.mark.parametrize("below", ["", "data", "plain_text"])
def test_the_hubs_layout_is_read_in_order_of_files_and_rows(tmp_path: Path, below: str) -> None:
    folder = tmp_path / below
    write(folder / "train-00001-of-00002.parquet", [1, 1, 0], first=10)
    write(folder / "train-00000-of-00002.parquet", [0, 1, 1, 0, 0], first=0)
    write(folder / "test-00000-of-00001.parquet", [1, 0], first=50)
    write(folder / "validation.parquet", [0, 1], first=90)
    source = opened(tmp_path)
    assert source.classes == NAMES
    assert source.train.labels.tolist() == [0, 1, 1, 0, 0, 1, 1, 0]
    assert colours(source.train) == [0, 1, 2, 3, 4, 10, 11, 12]
    assert colours(source.test) == [50, 51]
    assert colours(source.validation) == [90, 91]


@pytest.mark.parametrize(
    "layout", ["{}/0000.parquet", "default/{}/0000.parquet", "any/{}/0.parquet", "{0}/{0}-0.parquet"]
)
def test_folders_of_splits_are_read(tmp_path: Path, layout: str) -> None:
    write(tmp_path / layout.format("train"), [0, 1, 1], first=10)
    write(tmp_path / layout.format("test"), [1, 0], first=50)
    source = read_source(str(tmp_path)).source
    assert (source.classes, colours(source.train), colours(source.test)) == (NAMES, [10, 11, 12], [50, 51])


def test_of_several_configurations_the_default_is_read_and_all_are_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for first, config in enumerate(("small", "large", "default")):
        write(tmp_path / config / "train" / "0000.parquet", [0, 1], first=10 * first)
    with shown():
        assert colours(read_source(str(tmp_path)).source.train) == [20, 21]
    assert (
        "has the configurations default, large, small; default is used: to use another, give" in capsys.readouterr().err
    )
    assert colours(read_source(str(tmp_path / "large")).source.train) == [10, 11]
    shutil.rmtree(tmp_path / "default")
    with pytest.raises(InputError, match=r"several folders in .* have parquet files: large, small; give one of them"):
        read_source(str(tmp_path))


def test_files_whose_names_are_not_utf8_are_read(tmp_path: Path) -> None:
    folder = tmp_path / os.fsdecode(b"\xe9t\xe9")
    write(tmp_path / "train.parquet", [0, 1], images=[encoded(1), b"torn"])
    folder.mkdir()
    (tmp_path / "train.parquet").rename(folder / "train.parquet")
    name, source = read_source(str(folder))
    assert (name, source.train.images.name(1)) == ("\\xe9t\\xe9", f"{tmp_path}/\\xe9t\\xe9/train.parquet, row 1")
    assert source.train.images.content(0) == encoded(1)


@pytest.mark.parametrize("columns", [("img", "label"), ("image", "fine_label"), ("picture", "target")])
def test_usual_column_names_and_plain_bytes_are_read(tmp_path: Path, columns: tuple[str, str]) -> None:
    write(tmp_path / "train.parquet", [0, 1, 0], columns=columns, struct=False)
    source = opened(tmp_path)
    assert (source.classes, colours(source.train)) == (NAMES, [0, 1, 2])


def test_without_metadata_classes_are_named_by_their_labels(tmp_path: Path) -> None:
    write(tmp_path / "numbers" / "train.parquet", [0, 2, 1], names=None)
    assert opened(tmp_path / "numbers").classes == ("0", "1", "2")
    write(tmp_path / "words" / "train.parquet", ["fish", "bird", "fish"], names=None)
    source = opened(tmp_path / "words")
    assert (source.classes, source.train.labels.tolist()) == (("bird", "fish"), [1, 0, 1])


def test_a_test_split_with_hidden_labels_is_dropped(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1])
    write(tmp_path / "test.parquet", [-1, -1])
    assert opened(tmp_path).test is None


def test_large_files_are_mapped_from_a_copy_in_the_cache(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    write(tmp_path / "set" / "train-0.parquet", [0, 1, 0, 1])
    write(tmp_path / "set" / "train-1.parquet", [0, 1], first=4)
    source = opened(tmp_path / "set", memory_limit_mb=0)
    assert isinstance(source.train.images, MappedImages)
    assert colours(source.train) == [0, 1, 2, 3, 4, 5]
    copies = list((tmp_path / "cache" / "parquet").glob("*.arrow"))
    assert len(copies) == 1
    written = copies[0].stat().st_mtime_ns
    again = pickle.loads(pickle.dumps(opened(tmp_path / "set", memory_limit_mb=0).train))
    assert colours(again) == [0, 1, 2, 3, 4, 5]
    assert copies[0].stat().st_mtime_ns == written, "the copy was made twice"
    assert len(pickle.dumps(source.train.images)) < 1000, "the images themselves were pickled"
    write(tmp_path / "set" / "train-1.parquet", [0, 1], first=40)
    assert colours(opened(tmp_path / "set", memory_limit_mb=0).train) == [0, 1, 2, 3, 40, 41]


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "file"))
    write(tmp_path / "set" / "train.parquet", [0, 1])
    with pytest.raises(InputError, match=r"cannot copy the images to .*; set MODERNET_CACHE to a folder on a disk"):
        opened(tmp_path / "set", memory_limit_mb=0)


def test_rows_are_named_by_file_and_row() -> None:
    names = RowNames([Path("a"), Path("b"), Path("c")], [2, 0, 3])
    assert [names[row] for row in range(5)] == ["a, row 0", "a, row 1", "c, row 0", "c, row 1", "c, row 2"]


def test_an_unreadable_image_is_named_by_its_row_and_can_be_skipped(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    images = [encoded(i) for i in range(40)]
    images[3], images[7] = b"torn", None
    file = write(tmp_path / "set" / "train.parquet", [0, 1] * 20, images=images)
    write(tmp_path / "set" / "test.parquet", [0, 1])
    with pytest.raises(InputError, match=rf"{file}, row 3: it is not an image.*--skip-unreadable"):
        open_dataset(str(tmp_path / "set"))
    for limit in (100, 0):
        dataset = open_dataset(str(tmp_path / "set"), skip_unreadable=True, memory_limit_mb=limit)
        assert isinstance(dataset.train, OnDisk) == (limit == 0)
        assert sorted(dataset.unreadable) == [f"{file}, row 3", f"{file}, row 7"]
        assert len(dataset.train) + len(dataset.validation) == 38


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        ([0, 1, None], {}, "row 2 has no label; add one, or remove the row"),
        ([0, 1, 2], {}, r"row 2 has the label 2; there are 2 classes, 0 \(cat\) to 1 \(dog\)"),
        ([0, 1, -1], {}, "row 2 has the label -1; there are 2 classes"),
        (["cat", "dog", "cow"], {}, "row 2 has the label 'cow'; there are 2 classes"),
        ([0.0, 1.0, 0.5], {}, "the column 'label' of .* has the type double; labels are integers or names"),
        (
            [0, 1, 1],
            {"columns": ("x", "label")},
            "has the columns x, label; the image column must be named image or img",
        ),
        ([0, 1, 1], {"columns": ("image", "y")}, "has the columns image, y; the label column must be named label or"),
        (
            [0, 1, 1],
            {"images": ["a", "b", "c"], "struct": False},
            "the column 'image' of .* has the type string; images are",
        ),
    ],
)
def test_unusable_tables_are_explained(tmp_path: Path, labels: list, options: dict, message: str) -> None:
    write(tmp_path / "train.parquet", labels, **options)
    with pytest.raises(InputError, match=message) as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_parquet_is_named(tmp_path: Path) -> None:
    (tmp_path / "train.parquet").write_bytes(b"nothing like it")
    with pytest.raises(InputError, match=rf"cannot read {tmp_path}/train.parquet as parquet: .*; fetch it again"):
        opened(tmp_path)


def test_damaged_pages_are_reported(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).bytes(5000)
    file = write(tmp_path / "train.parquet", [0, 1], images=[noise, noise])
    content = bytearray(file.read_bytes())
    content[4:60] = bytes(56)
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"cannot read {file} as parquet"):
        opened(tmp_path)


def test_damaged_pages_of_labels_are_reported(tmp_path: Path) -> None:
    file = write(tmp_path / "train.parquet", [0, 1] * 500)
    chunk = pq.ParquetFile(file).metadata.row_group(0).column(2)  # after the image's bytes and path
    content = bytearray(file.read_bytes())
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + chunk.total_compressed_size] = b"\xff" * chunk.total_compressed_size
    file.write_bytes(content)
    with pytest.raises(InputError, match=rf"^cannot read {file} as parquet: .*; fetch it again$") as caught:
        opened(tmp_path)
    assert "\n" not in str(caught.value)


def test_rows_keep_their_split_when_a_file_that_sorts_first_is_added(tmp_path: Path) -> None:
    def held_out() -> set[int]:
        return set(colours(three_splits(opened(tmp_path)).test))

    write(tmp_path / "train-1.parquet", [0, 1] * 100)
    before = held_out()
    write(tmp_path / "train-0.parquet", [0, 1] * 20, first=200)
    assert {colour for colour in held_out() if colour < 200} == before


def test_parquet_without_train_or_in_several_folders_is_explained(tmp_path: Path) -> None:
    write(tmp_path / "one" / "test.parquet", [0, 1])
    with pytest.raises(InputError, match=r"has a test split, but no train split; name its files train-\*"):
        read_source(str(tmp_path))
    write(tmp_path / "two" / "train.parquet", [0, 1])
    with pytest.raises(InputError, match=r"several folders in .* have parquet files: one, two; give one of them"):
        parquet_files(tmp_path)


def test_the_split_may_stand_anywhere_in_the_name(tmp_path: Path) -> None:
    for name in ("imagenet-train-0.parquet", "imagenet-val-07.parquet"):
        write(tmp_path / name, [0, 1])
    source = opened(tmp_path)
    assert (len(source.train), len(source.validation)) == (2, 2)


def test_files_without_a_split_in_their_name_are_ignored(tmp_path: Path) -> None:
    for name in ("trained.parquet", "train.csv", ".train.parquet"):
        (tmp_path / name).touch()
    assert parquet_files(tmp_path) == {}


def test_an_opened_data_set_has_the_images_of_its_rows(tmp_path: Path) -> None:
    write(tmp_path / "train.parquet", [0, 1] * 20)
    write(tmp_path / "test.parquet", [1, 0, 1], first=100)
    dataset = open_dataset(str(tmp_path))
    assert dataset.image_size == 4
    assert dataset.test.images[:, 0, 0, 0].tolist() == [100, 101, 102]
    assert torch.equal(dataset.train.images[:, 0, 0, 0] % 2, dataset.train.labels)
