from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modernet.data import (
    ClassTargets,
    InMemory,
    NoTargets,
    OnDisk,
    SemanticTargets,
    fit_image,
    open_dataset,
    read_image,
)
from modernet.data.images.collection import DecodedImages
from modernet.data.measuring import measure
from modernet.data.sources.read import read_source
from modernet.errors import InputError
from modernet.progress import shown


def test_a_folder_is_opened_with_all_that_a_network_must_know(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path / "pets", n=20)
    dataset = open_dataset(str(tmp_path / "pets"))
    assert json.loads(json.dumps(dataset.summary())) == {
        "name": "pets",
        "classes": 2,
        "image_size": 8,
        "n_train": len(dataset.train),
        "n_validation": len(dataset.validation),
        "n_test": len(dataset.test),
        "splits": "about 80 / 10 / 10 % of each class of the one given set",
        "unreadable": [],
    }
    assert dataset.classes == ("cat", "dog")
    assert dataset.train.images.dtype == torch.uint8
    assert dataset.train.images.shape == (len(dataset.train), 3, 8, 8)
    assert len(dataset.train) > 25
    assert dataset.train.images.is_contiguous(memory_format=torch.channels_last)


def test_no_image_is_in_two_splits(tmp_path: Path, write_folder) -> None:
    dataset = open_dataset(str(write_folder(tmp_path, n=20)))
    images = torch.cat([split.images for split in (dataset.train, dataset.validation, dataset.test)])
    assert len(images) == 40
    assert len(images.flatten(1).unique(dim=0)) == 40


@pytest.mark.parametrize("memory_limit_mb", [100, 0])
def test_colours_are_measured_on_the_training_split(tmp_path: Path, write_folder, memory_limit_mb: int) -> None:
    write_folder(tmp_path, n=20)
    train = open_dataset(str(tmp_path)).train.images.double() / 255
    dataset = open_dataset(str(tmp_path), memory_limit_mb=memory_limit_mb)
    assert dataset.preparation.mean == pytest.approx(train.mean((0, 2, 3)).tolist())
    assert dataset.preparation.std == pytest.approx(train.std((0, 2, 3), correction=0).tolist())


def test_images_of_one_colour_can_be_normalised(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for number in range(3):
            Image.new("RGB", (4, 4), "blue").save(tmp_path / name / f"{number}.png")
    dataset = open_dataset(str(tmp_path))
    assert dataset.preparation.mean == pytest.approx((0, 0, 1))
    assert min(dataset.preparation.std) == pytest.approx(1 / 255)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(8, 8)], 8),
        ([(256, 256)], 256),
        ([(300, 300)], 224),
        ([(400, 300), (300, 400)], 224),
        ([(200, 150), (150, 160)], 128),
        ([(20, 30)], 32),
    ],
)
def test_the_usual_size_suits_the_images(
    tmp_path: Path, write_image, sizes: list[tuple[int, int]], expected: int
) -> None:
    for number in range(4):
        for name in ("a", "b"):
            write_image(tmp_path / name / f"{number}.png", sizes[number % len(sizes)])
    dataset = open_dataset(str(tmp_path))
    assert dataset.image_size == expected
    assert dataset.train.images.shape[2:] == (expected, expected)


def test_the_size_can_be_chosen(tmp_path: Path, write_folder) -> None:
    assert open_dataset(str(write_folder(tmp_path)), image_size=12).train.images.shape[2:] == (12, 12)
    with pytest.raises(InputError, match=r"image_size is 1; give the side in pixels, at least 2, such as 224"):
        open_dataset(str(tmp_path), image_size=1)


def test_sets_beyond_the_memory_limit_stay_on_disk(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, n=10, size=(150, 150))  # 20 images of 67,500 bytes
    assert isinstance(open_dataset(str(tmp_path), memory_limit_mb=2).train, InMemory)
    assert isinstance(open_dataset(str(tmp_path), memory_limit_mb=1).train, OnDisk)


def test_both_kinds_have_the_same_splits_and_labels(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, n=15)
    memory, disk = (open_dataset(str(tmp_path), memory_limit_mb=limit) for limit in (100, 0))
    for split in ("train", "validation", "test"):
        assert torch.equal(getattr(memory, split).labels, getattr(disk, split).labels)
        on_disk = getattr(disk, split)
        images = torch.stack([on_disk.images.read(index) for index in on_disk.indices.tolist()])
        assert torch.equal(getattr(memory, split).images, images)


@pytest.mark.parametrize("memory_limit_mb", [100, 0])
def test_unreadable_images_are_skipped_and_listed(tmp_path: Path, write_folder, capsys, memory_limit_mb: int) -> None:
    write_folder(tmp_path, n=20)
    torn = [tmp_path / "cat" / "003.png", tmp_path / "dog" / "011.png"]
    whole = open_dataset(str(tmp_path))
    for path in torn:
        path.write_bytes(path.read_bytes()[:50])
    with shown():
        dataset = open_dataset(str(tmp_path), skip_unreadable=True, memory_limit_mb=memory_limit_mb)
    assert sorted(dataset.unreadable) == [str(path) for path in torn]
    assert json.loads(json.dumps(dataset.summary()))["unreadable"] == list(dataset.unreadable)
    left = sum(len(split) for split in (dataset.train, dataset.validation, dataset.test))
    assert left == sum(len(split) for split in (whole.train, whole.validation, whole.test)) - 2
    said = capsys.readouterr().err
    assert "skipped 2 of 40 images that cannot be read:\n" in said
    for path in torn:
        assert f"  {path}\n" in said
    assert "more" not in said


def test_of_many_unreadable_images_twenty_are_printed_and_all_are_listed(tmp_path: Path, write_folder, capsys) -> None:
    write_folder(tmp_path, n=40)
    for number in range(23):
        (tmp_path / "cat" / f"{number:03}.png").write_bytes(b"torn")
    with shown():
        dataset = open_dataset(str(tmp_path), skip_unreadable=True)
    lines = capsys.readouterr().err.splitlines()
    start = next(number for number, line in enumerate(lines) if "skipped 23 of 80" in line)
    assert lines[start + 1 :] == [*(f"  {name}" for name in dataset.unreadable[:20]), "  ... and 3 more"]
    assert len(set(dataset.unreadable)) == len(dataset.summary()["unreadable"]) == 23


def test_images_keep_their_split_when_others_are_added_before_them(tmp_path: Path, write_folder, write_image) -> None:
    def opened() -> list[set[bytes]]:
        dataset = open_dataset(str(tmp_path))
        return [
            {image.numpy().tobytes() for image in split.images}
            for split in (dataset.train, dataset.validation, dataset.test)
        ]

    write_folder(tmp_path, n=100)
    before = opened()
    for seed in range(10):
        write_image(tmp_path / "cat" / f"+{seed}.png", seed=seed)
        write_image(tmp_path / "dog" / f"+{seed}.png", seed=10 + seed)
    after = opened()
    assert sum(map(len, before)) == 200
    assert sum(map(len, after)) == 220
    assert all(old <= new for old, new in zip(before, after, strict=True))


def test_images_keep_their_split_when_their_folder_moves(tmp_path: Path, write_folder) -> None:
    here = open_dataset(str(write_folder(tmp_path / "here", n=30)))
    (tmp_path / "here").rename(tmp_path / "there")
    there = open_dataset(str(tmp_path / "there"))
    assert torch.equal(here.test.images, there.test.images)


def test_an_unreadable_image_stops_with_its_path_and_what_to_do(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, n=20)
    path = tmp_path / "cat" / "003.png"
    path.write_bytes(b"")
    message = rf"{path}: the file is empty; repair it, remove it, or skip .* \(--skip-unreadable\)"
    with pytest.raises(InputError, match=message):
        open_dataset(str(tmp_path))
    with pytest.raises(InputError, match=message):  # it is in the sample that colours are measured on
        open_dataset(str(tmp_path), memory_limit_mb=0)


@pytest.mark.parametrize(
    ("spoiled", "message"),
    [
        ("train/cat", "what can be read of .* has no training image of the class 'cat'; add some, or remove the class"),
        ("test", "no test image of .* can be read; repair some, or choose another data set"),
    ],
)
def test_skipping_stops_when_nothing_is_left(tmp_path: Path, write_folder, spoiled: str, message: str) -> None:
    for split in ("train", "validation", "test"):
        write_folder(tmp_path / split, n=2)
    for path in (tmp_path / spoiled).rglob("*.png"):
        path.write_bytes(b"torn")
    with pytest.raises(InputError, match=message):
        open_dataset(str(tmp_path), skip_unreadable=True)


def test_an_unknown_name_suggests_a_known_one(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"'cifra10'; did you mean cifar10.*; nor is there a folder of that name"):
        open_dataset("cifra10")


def test_a_missing_folder_suggests_its_neighbour(tmp_path: Path) -> None:
    (tmp_path / "flowers").mkdir()
    with pytest.raises(InputError, match=rf"there is no folder {tmp_path}/flower; did you mean {tmp_path}/flowers?"):
        open_dataset(str(tmp_path / "flower"))
    with pytest.raises(InputError, match=r"no folder in .* has a similar name"):
        open_dataset(str(tmp_path / "quarks"))
    with pytest.raises(
        InputError, match=rf"there is no folder {tmp_path}/a/b, nor {tmp_path}/a; give a folder, or one of"
    ):
        open_dataset(str(tmp_path / "a" / "b"))


def test_a_file_an_empty_folder_and_loose_images_are_explained(tmp_path: Path, write_image) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=rf"the folder {tmp_path}/empty is empty; known are class folders"):
        open_dataset(str(tmp_path / "empty"))
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "notes.txt").touch()
    with pytest.raises(InputError, match=r"has notes.txt and no known layout; known are class folders"):
        open_dataset(str(tmp_path / "other"))
    with pytest.raises(InputError, match=r"notes.txt is a file; give the folder that holds the data set"):
        open_dataset(str(tmp_path / "other" / "notes.txt"))
    image = write_image(tmp_path / "loose" / "a.png")
    with pytest.raises(InputError, match=rf"the images are directly in {image.parent}; put them in a folder for each"):
        open_dataset(str(image.parent))


def test_images_in_memory_are_scaled_as_asked_and_measured_like_those_on_disk(
    tmp_path: Path, write_image, write_folder
) -> None:
    write_folder(tmp_path, size=(30, 20))
    original = read_image(write_image(tmp_path / "cat" / "extra.png", (30, 20), seed=7))
    for interpolation in ("bilinear", "bicubic"):
        memory, disk = (
            open_dataset(str(tmp_path), image_size=12, memory_limit_mb=limit, interpolation=interpolation)
            for limit in (100, 0)
        )
        square = fit_image(original, 12, interpolation=interpolation)
        splits = memory.train, memory.validation, memory.test
        assert any((image == square).all() for split in splits for image in split.images)
        assert (memory.preparation.mean, memory.preparation.std) == (disk.preparation.mean, disk.preparation.std)


def test_large_images_are_measured_small_where_they_are_not_for_classes() -> None:
    stripes = (torch.arange(448) % 2 * 255).to(torch.uint8).expand(2, 3, 448, 448).contiguous()  # grey at half the size
    images, maps = DecodedImages(stripes, "stripes"), torch.zeros(2, 448, 448, dtype=torch.uint8)
    for targets, expected in (
        (ClassTargets(torch.arange(2)), 0.5),
        (NoTargets(2), 0.5),
        (SemanticTargets(maps, np.arange(2)), 0.0),
    ):
        _, std = measure(OnDisk(images, torch.arange(2), targets), (448, 448))
        assert std == pytest.approx((expected,) * 3, abs=0.01)


def test_whole_images_are_kept_in_memory_only_where_they_are_the_squares(tmp_path: Path) -> None:
    for size, name in (((16, 16), "squares"), ((24, 16), "photos")):
        for label in ("a", "b"):
            for index in range(10):
                folder = tmp_path / name / label
                folder.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", size).save(folder / f"{index}.png")

    squares, photos = (open_dataset(str(tmp_path / name), whole_images=True) for name in ("squares", "photos"))
    assert isinstance(squares.train, InMemory)
    assert isinstance(photos.train, OnDisk)
    assert isinstance(open_dataset(str(tmp_path / "photos")).train, InMemory)


@pytest.mark.medium
def test_digit_scenes_have_every_kind_of_targets() -> None:
    classes, none, semantic, boxes = (
        open_dataset("digit_scenes", targets=kind) for kind in ("classes", "none", "semantic", "boxes")
    )
    assert torch.equal(none.train.images, classes.train.images)
    assert (none.classes, none.train.targets.collate()) == ((), None)
    assert (none.preparation.mean, none.image_size) == (classes.preparation.mean, 32)
    assert torch.equal(semantic.test.images, boxes.test.images)
    assert semantic.test.images.shape == (1000, 3, 64, 64)
    assert semantic.test.images.is_contiguous(memory_format=torch.channels_last)
    assert semantic.classes == ("ground", *boxes.classes)
    maps, found = semantic.test.targets.collate(), boxes.test.targets
    image = torch.from_numpy(np.repeat(np.arange(1000), np.diff(found.offsets)))
    assert maps.shape == (1000, 64, 64)
    assert set(found.labels.tolist()) == set(range(10))
    assert torch.bincount(torch.bincount(image, minlength=1000)).tolist()[0] == 0
    drawn = torch.zeros_like(maps)
    drawn.index_put_((image,), (found.masks * (1 + found.labels[:, None, None])).to(torch.uint8), accumulate=True)
    assert torch.equal(drawn, maps)


@pytest.mark.medium
def test_scenes_of_several_digits_are_made_at_other_sizes() -> None:
    assert open_dataset("digit_scenes", targets="boxes", image_size=20).train.images.shape[-2:] == (20, 20)
    with pytest.raises(
        InputError, match=r"^image_size is \(32, 48\); digit_scenes are square, give their side in pixels$"
    ):
        open_dataset("digit_scenes", targets="semantic", image_size=(32, 48))


def test_what_a_data_set_does_not_have_is_refused_with_what_it_has(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path)
    with pytest.raises(InputError, match=rf"^{tmp_path} has no boxes; known are COCO"):
        open_dataset(str(tmp_path), targets="boxes")
    with pytest.raises(InputError, match=rf"^{tmp_path} has no semantic targets; known are images/ with masks/"):
        open_dataset(str(tmp_path), targets="semantic")


@pytest.mark.parametrize("memory_limit_mb", [100, 0])
def test_images_of_class_folders_are_opened_without_their_classes(
    tmp_path: Path, write_folder, memory_limit_mb: int
) -> None:
    write_folder(tmp_path, n=20)
    dataset = open_dataset(str(tmp_path), targets="none", memory_limit_mb=memory_limit_mb)
    assert (dataset.classes, dataset.summary()["classes"]) == ((), 0)
    assert dataset.splits == "about 80 / 10 / 10 % of the one given set"
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 40
    assert dataset.train.targets.collate() is None
    one_class = open_dataset(str(write_folder(tmp_path / "x", ("cat",), n=20)), targets="none")
    assert len(one_class.train) + len(one_class.validation) + len(one_class.test) == 20


@pytest.mark.parametrize("splits", [False, True])
def test_images_without_classes_need_no_class_folders(tmp_path: Path, write_image, splits: bool) -> None:
    for split, n in (("train", 20), ("val", 3), ("test", 4)) if splits else ((".", 40),):
        for number in range(n):
            write_image(tmp_path / split / f"{number}.png", seed=number)
        write_image(tmp_path / split / "deep" / "er" / "0.png", seed=100)
    dataset = open_dataset(str(tmp_path), targets="none")
    sizes = [len(dataset.train), len(dataset.validation), len(dataset.test)]
    assert sizes == [21, 4, 5] if splits else sum(sizes) == 41
    with pytest.raises(
        InputError, match=r"there is no class folder in|put them in a folder for each class|only the class"
    ):
        open_dataset(str(tmp_path))


def test_a_split_without_images_is_named(tmp_path: Path, write_image) -> None:
    write_image(tmp_path / "train" / "0.png")
    (tmp_path / "test").mkdir()
    with pytest.raises(InputError, match=rf"^there is no image in {tmp_path}/test; put some in it$"):
        open_dataset(str(tmp_path), targets="none")


def test_images_without_classes_are_tested_on_without_any_to_learn_from(tmp_path: Path, write_image) -> None:
    write_image(tmp_path / "test" / "0.png")
    source = read_source(str(tmp_path), targets="none", to_learn=False).source
    assert source.train is None
    assert source.test is not None
    assert len(source.test) == 1
    with pytest.raises(InputError, match="but no train/"):
        open_dataset(str(tmp_path), targets="none")


def test_images_are_opened_at_any_shape(tmp_path: Path, write_folder) -> None:
    write_folder(tmp_path, n=20, size=(30, 40))
    memory = open_dataset(str(tmp_path), image_size=(12, 24))
    disk = open_dataset(str(tmp_path), image_size=(12, 24), memory_limit_mb=0)
    assert memory.train.images.shape[1:] == (3, 12, 24)
    assert memory.image_size == disk.image_size == (12, 24)
    assert (memory.preparation.mean, memory.preparation.std) == (disk.preparation.mean, disk.preparation.std)
    with pytest.raises(InputError, match=r"^image_size is \(12, 1\); give the side in pixels, at least 2"):
        open_dataset(str(tmp_path), image_size=(12, 1))
