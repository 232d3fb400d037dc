from __future__ import annotations

import os
from pathlib import Path

import pytest

from modernet.data.images.files import ImageFiles
from modernet.data.sources.image_folder import read_image_folder
from modernet.data.sources.read import read_source
from modernet.errors import InputError


def names(split: object) -> list[str]:
    images = split.images
    assert isinstance(images, ImageFiles)
    return ["/".join(images.path(index).parts[-2:]) for index in range(len(images))]


def test_class_folders_are_read_in_order_and_recursively(tmp_path: Path, write_image) -> None:
    for name in ("dog/b.png", "dog/deep/a.png", "cat/c.png"):
        write_image(tmp_path / name)
    (tmp_path / "dog" / "notes.txt").touch()
    (tmp_path / ".git").mkdir()
    source = read_image_folder(tmp_path)
    assert source.classes == ("cat", "dog")
    assert source.train.labels.tolist() == [0, 1, 1]
    assert names(source.train) == ["cat/c.png", "dog/b.png", "deep/a.png"]
    assert source.validation is None
    assert source.test is None


@pytest.mark.parametrize("spelling", ["val", "valid", "validation", "Val"])
def test_split_folders_are_read_under_each_spelling(tmp_path: Path, write_folder, spelling: str) -> None:
    for split, n in (("train", 3), (spelling, 2), ("test", 1)):
        write_folder(tmp_path / split, n=n)
    source = read_image_folder(tmp_path)
    assert (len(source.train), len(source.validation), len(source.test)) == (6, 4, 2)


def test_names_that_contain_a_split_are_splits_only_if_all_do(tmp_path: Path, write_folder) -> None:
    for split, n in (("train_images", 3), ("test_images", 1)):
        write_folder(tmp_path / "set" / split, n=n)
    source = read_image_folder(tmp_path / "set")
    assert (len(source.train), len(source.test)) == (6, 2)
    write_folder(tmp_path / "vehicles", ("bullet_train", "car", "test_tube"), n=2)
    assert read_image_folder(tmp_path / "vehicles").classes == ("bullet_train", "car", "test_tube")
    write_folder(tmp_path / "trains", ("freight_train", "passenger_train"), n=2)
    assert read_image_folder(tmp_path / "trains").classes == ("freight_train", "passenger_train")
    write_folder(tmp_path / "unsorted", ("train_images", "test_images"), n=2)
    with pytest.raises(
        InputError, match=r"there is no class folder in .*images; put images in a folder for each class"
    ):
        read_image_folder(tmp_path / "unsorted")


def test_the_order_of_the_file_system_does_not_matter(tmp_path: Path, write_folder, monkeypatch) -> None:
    write_folder(tmp_path, ("a", "b", "c"), n=3)
    before = read_image_folder(tmp_path)
    forward = os.scandir

    class Backward:
        def __init__(self, path: Path) -> None:
            self.path = path

        def __enter__(self) -> list[os.DirEntry[str]]:
            return sorted(forward(self.path), key=lambda entry: entry.name, reverse=True)

        def __exit__(self, *_: object) -> None:
            pass

    monkeypatch.setattr("modernet.data.sources.listing.os.scandir", Backward)
    after = read_image_folder(tmp_path)
    assert after.classes == before.classes
    assert names(after.train) == names(before.train)


def test_a_class_without_images_is_named(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(
        InputError, match=rf"there is no image in the class folder {tmp_path}/empty; add some, or remove"
    ):
        read_image_folder(tmp_path)


def test_a_class_that_is_only_in_test_is_named(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "test", ("cat", "horse"))
    with pytest.raises(InputError, match=r"test/horse is not a class of train, which has 2, such as 'cat'"):
        read_image_folder(tmp_path)


def test_test_may_lack_a_class(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path / "train")
    write_folder(tmp_path / "test", ("dog",), n=2)
    assert read_image_folder(tmp_path).test.labels.tolist() == [1, 1]


def test_splits_without_train_are_refused(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path / "test")
    with pytest.raises(InputError, match=r"has test/ but no train/"):
        read_image_folder(tmp_path)


def test_two_folders_for_one_split_are_refused(tmp_path: Path, write_folder) -> None:
    for split in ("train", "val", "valid"):
        write_folder(tmp_path / split)
    with pytest.raises(InputError, match=r"has two folders for validation, val/ and valid/; keep one"):
        read_image_folder(tmp_path)


def test_one_class_is_too_few(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, ("cat",))
    with pytest.raises(InputError, match=r"has only the class 'cat'; a classifier needs at least two"):
        read_source(str(tmp_path))


def test_a_split_without_class_folders_is_refused(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path / "train")
    (tmp_path / "test").mkdir()
    with pytest.raises(InputError, match=r"there is no class folder in .*test; put images in a folder for each class"):
        read_image_folder(tmp_path)


def test_imagenets_own_layout_is_an_image_folder(tmp_path: Path, write_image) -> None:
    for synset in ("n01440764", "n01443537"):
        for number in range(2):
            write_image(tmp_path / "train" / synset / f"{synset}_{number}.JPEG")
        write_image(tmp_path / "val" / synset / "ILSVRC2012_val_00000293.JPEG")
    source = read_image_folder(tmp_path)
    assert source.classes == ("n01440764", "n01443537")
    assert source.validation is not None
    assert (len(source.train), len(source.validation), source.test) == (4, 2, None)


def test_names_that_are_not_utf8_are_shown_by_escapes(tmp_path: Path, write_folder) -> None:
    strange = os.fsdecode(b"\xe9t\xe9")
    for split, n in (("train", 3), ("test", 1)):
        write_folder(tmp_path / strange / split, (strange, "hiver"), n=n)
    name, source = read_source(str(tmp_path / strange))
    assert (name, source.classes) == ("\\xe9t\\xe9", ("hiver", "\\xe9t\\xe9"))
    assert source.test.labels.tolist() == [0, 1]
    assert source.test.images.name(1) == f"{tmp_path}/\\xe9t\\xe9/test/\\xe9t\\xe9/000.png"
    assert source.test.images.identity(1) == f"{strange}/000.png"
    assert source.test.images.read(1).shape == (3, 8, 8)
