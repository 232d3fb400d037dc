"""What a trained network is evaluated on: a test set alone whole, a set that it learned from in part."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from data.shards import png, write_shards
from modernet.data import ImageDataset, OpenedSplit, open_dataset, open_split
from modernet.data.images.marks import NO_MARKS, Marks
from modernet.errors import InputError
from modernet.preparation import Preparation
from modernet.progress import shown

SQUARES = Preparation(8, (0.5,) * 3, (0.2,) * 3)


def opened(folder: Path, split: str = "test", marks: Marks | None = NO_MARKS, **options: bool) -> OpenedSplit:
    return open_split(str(folder), split, SQUARES, marks=marks, **options)  # type: ignore[arg-type]


def class_names(found: OpenedSplit) -> list[str]:
    return [found.classes[label] for label in found.split.labels.tolist()]


def write_class_folders(folder: Path, split: str, write_folder: Callable[..., Path]) -> None:
    write_folder(folder / split, n=4)


def write_tars(folder: Path, split: str, write_folder: Callable[..., Path]) -> None:
    write_shards(folder, split, shards=1)


def write_parquet(folder: Path, split: str, write_folder: Callable[..., Path]) -> None:
    folder.mkdir(exist_ok=True)
    rows = {"image": [{"bytes": png(seed), "path": None} for seed in range(8)], "label": ["cat", "dog"] * 4}
    pq.write_table(pa.table(rows), folder / f"{split}-0.parquet")


WRITERS = pytest.mark.parametrize("write", [write_class_folders, write_tars, write_parquet])


@WRITERS
@pytest.mark.parametrize(("written", "asked"), [("test", "test"), ("val", "validation"), ("val", "test")])
def test_a_split_alone_is_whole_and_needs_no_training_images(
    tmp_path: Path, write_folder, write: Callable[..., None], written: str, asked: str
) -> None:
    write(tmp_path / "new", written, write_folder)

    found = opened(tmp_path / "new", asked)

    assert sorted(class_names(found)) == ["cat"] * 4 + ["dog"] * 4
    with pytest.raises(InputError, match="no train"):
        open_dataset(str(tmp_path / "new"))


@WRITERS
def test_a_split_that_is_not_there_is_named_with_one_that_is(
    tmp_path: Path, write_folder, write: Callable[..., None]
) -> None:
    write(tmp_path / "new", "test", write_folder)

    for asked in ("train", "validation"):
        with pytest.raises(InputError, match=f"has no {asked} split, only test; give --split test"):
            opened(tmp_path / "new", asked)


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_one_set_of_other_images_is_whole(tmp_path: Path, write_folder, split: str, capsys) -> None:
    """Also with fewer images of a class than could be split."""
    write_folder(tmp_path / "mine", n=20)
    write_folder(tmp_path / "new", n=7, size=(9, 12))
    write_folder(tmp_path / "new", ("horse",), n=1)
    marks = open_dataset(str(tmp_path / "mine")).mark()

    with shown():
        found = opened(tmp_path / "new", split, marks)

    said = capsys.readouterr().err
    assert len(found.split) == 15
    assert said == "new: evaluated on all 15 images; none has name and size of a training image\n"


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_of_one_set_that_the_network_learned_from_its_own_part_is_evaluated(
    tmp_path: Path, write_folder, split: str, capsys
) -> None:
    """Also when it has grown since: images keep their split."""
    write_folder(tmp_path / "mine", n=20)
    dataset = open_dataset(str(tmp_path / "mine"), image_size=8)
    expected = getattr(dataset, split)
    assert torch.equal(opened(tmp_path / "mine", split, dataset.mark()).split.images, expected.images)

    write_folder(tmp_path / "mine", n=60)
    with shown():
        grown = opened(tmp_path / "mine", split, dataset.mark())

    said = capsys.readouterr().err
    learned = dataset.train.images.flatten(1).tolist()
    tested = grown.split.images.flatten(1).tolist()
    assert len(tested) > len(expected)
    assert any(image in learned for image in tested) == (split == "train")
    learned_n = len(dataset.train)
    assert f"mine: evaluated on its {split} split, {len(tested)} of 120 images, since {learned_n} have name and" in said
    assert "warning" not in said


def test_a_larger_set_is_whole_if_few_images_look_learned_from_and_split_if_all_of_those_are_in_it(
    tmp_path: Path, write_folder, capsys
) -> None:
    write_folder(tmp_path / "new", n=50, size=(9, 12))
    for name, n in (("many", 30), ("few", 2)):
        for split in ("train", "val", "test"):
            write_folder(tmp_path / name / split, n=n)
    many, few = (open_dataset(str(tmp_path / name)).mark() for name in ("many", "few"))
    first = tmp_path / "many" / "train" / "cat" / "000.png"
    shutil.copy(first, tmp_path / "new" / "cat")
    with shown():
        n = len(opened(tmp_path / "new", "test", many).split)
    said = capsys.readouterr().err
    assert n == 100
    assert "new: evaluated on all 100 images; one has name and size of a training image\n" in said
    assert "warning: trained and evaluated on the same images, by name and size: 1 of 100\n" in said

    shutil.copytree(tmp_path / "few" / "train", tmp_path / "new", dirs_exist_ok=True)
    assert len(opened(tmp_path / "new", "test", few).split) < 30


def test_training_images_are_never_tested_on_in_silence(tmp_path: Path, write_folder, capsys) -> None:
    """A run on `train/` and `test/`, tested on the folder `train/` itself, or on a test split with a copy in it."""
    write_folder(tmp_path / "pets" / "train", n=20)
    write_folder(tmp_path / "pets" / "test", n=5, size=(9, 12))
    marks = open_dataset(str(tmp_path / "pets")).mark()

    with shown():
        n = len(opened(tmp_path / "pets" / "train", "test", marks).split)
        opened(tmp_path / "pets", "test", marks)
    said = capsys.readouterr().err
    assert said.count("warning") == 1
    assert f"warning: trained and evaluated on the same images, by name and size: {n} of {n}\n" in said

    copied = (tmp_path / "pets" / "train" / "cat" / "000.png").read_bytes()
    (tmp_path / "pets" / "test" / "cat" / "000.png").write_bytes(copied)
    with shown():
        opened(tmp_path / "pets", "test", marks)
    assert "trained and evaluated on the same images, by name and size: 1 of 10\n" in capsys.readouterr().err


def test_a_run_that_does_not_say_what_it_learned_from_is_tested_on_a_part(tmp_path: Path, write_folder, capsys) -> None:
    write_folder(tmp_path / "pets", n=20)
    with shown():
        found = opened(tmp_path / "pets", "test", None)

    said = capsys.readouterr().err
    dataset: ImageDataset = open_dataset(str(tmp_path / "pets"))
    assert len(found.split) == len(dataset.test)
    assert f"its test split, {len(dataset.test)} of 40 images, since the run does not say" in said


def test_given_splits_are_those_that_training_uses(tmp_path: Path, write_folder) -> None:
    """The others are not read: a damaged training image does not matter."""
    write_folder(tmp_path / "train", n=20)
    write_folder(tmp_path / "val", n=6)
    dataset = open_dataset(str(tmp_path), image_size=8)
    assert torch.equal(opened(tmp_path, "validation", dataset.mark()).split.images, dataset.validation.images)

    for image in (tmp_path / "train" / "cat").iterdir():
        image.write_bytes(b"no image")
    assert torch.equal(opened(tmp_path, "test", dataset.mark()).split.images, dataset.test.images)
    with pytest.raises(InputError, match=r"train/cat/.*--skip-unreadable"):
        opened(tmp_path, "train", dataset.mark())


def test_a_test_folder_may_have_classes_that_train_lacks_and_empty_ones(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path / "train", ("cat", "dog"))
    write_folder(tmp_path / "test", ("dog", "horse"), n=2)
    (tmp_path / "test" / "cow").mkdir()

    assert class_names(opened(tmp_path)) == ["dog", "dog", "horse", "horse"]
