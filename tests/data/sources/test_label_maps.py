"""Folders of label maps in every layout, and broken in every way that users report."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modernet.data import IGNORE, SemanticTargets, open_dataset
from modernet.data.fingerprint import fingerprint
from modernet.data.images import label_files
from modernet.data.opening import open_split
from modernet.data.sources import label_maps
from modernet.data.sources.examples import Examples, Source
from modernet.data.sources.label_maps import read_label_folder
from modernet.errors import InputError
from modernet.preparation import Preparation

MAP = np.array([[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 2, 255]], np.uint8)
COLOURS = {0: (128, 64, 128), 1: (0, 0, 192), 2: (64, 64, 0), 255: (0, 0, 0)}


def write_image(path: Path, size: tuple[int, int] = (2, 6), **options: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(str(path))).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, **options)
    return path


def write_map(path: Path, values: np.ndarray = MAP, mode: str = "L") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    if mode == "RGB":
        image = Image.fromarray(np.array([[COLOURS[v] for v in row] for row in values.tolist()], np.uint8))
    elif mode == "P":
        image = Image.fromarray(values, "P")
        image.putpalette([shade for index in range(256) for shade in COLOURS.get(index, (index, 0, 0))])
    else:
        image = Image.fromarray(values)
    image.save(path)
    return path


def write_pairs(root: Path, names: Sequence[str] = "abcdef", mode: str = "L", images: str = "images") -> Path:
    for name in names:
        write_image(root / images / f"{name}.jpg")
        write_map(root / "masks" / f"{name}.png", mode=mode)
    return root


def maps_of(examples: Examples) -> list[list[list[int]]]:
    targets = examples.targets
    assert isinstance(targets, SemanticTargets)
    assert not isinstance(targets.maps, torch.Tensor)
    return [targets.maps.read(index).tolist() for index in targets.indices.tolist()]


def counts(source: Source) -> dict[str, int]:
    return {name: len(split) for name, split in source.splits().items()}


def test_large_images_and_maps_have_the_limit_of_every_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_pairs(tmp_path)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 4)  # Pillow refuses twice as many
    assert counts(read_label_folder(tmp_path)) == {"train": 6}

    monkeypatch.setenv("MODERNET_MAX_MEGAPIXELS", "0.00001")
    with pytest.raises(InputError, match=r"a\.png: it has 2 x 6 pixels, and an image above 1e-05 megapixels"):
        read_label_folder(tmp_path)


def test_a_folder_to_be_tested_on_needs_no_train(tmp_path: Path) -> None:
    write_pairs(tmp_path / "test", "ab")
    preparation = Preparation(8, (0.5,) * 3, (0.25,) * 3)
    opened = open_split(str(tmp_path), "test", preparation, marks=None, targets="semantic")
    assert (opened.classes, len(opened.split)) == (("0", "1", "2"), 2)
    with pytest.raises(InputError, match="has label maps for test, but none for train"):
        open_dataset(str(tmp_path), targets="semantic")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    root = write_pairs(tmp_path / os.fsdecode(b"\xe9t\xe9"), [os.fsdecode(b"\xe9%d" % number) for number in range(6)])
    dataset = open_dataset(str(root), targets="semantic", image_size=8)
    assert dataset.name == r"\xe9t\xe9"
    assert len(fingerprint(dataset)) > 0
    (root / "masks" / os.fsdecode(b"\xe90.png")).write_bytes(b"")
    with pytest.raises(InputError, match=r"masks/\\xe90\.png: the file is empty"):
        open_dataset(str(root), targets="semantic", image_size=8)


def test_pairs_of_images_and_masks_are_matched_by_name(tmp_path: Path) -> None:
    source = read_label_folder(write_pairs(tmp_path))

    assert source.classes == ("0", "1", "2")
    assert counts(source) == {"train": 6}
    assert maps_of(source.train) == [MAP.tolist()] * 6
    assert source.train.images.identity(1) == "images/b.jpg"


@pytest.mark.parametrize("layout", ["images/{split}|masks/{split}", "{split}/images|{split}/masks"])
def test_splits_are_folders_below_or_above(layout: str, tmp_path: Path) -> None:
    images, maps = layout.split("|")
    for split, n in (("train", 3), ("valid", 2), ("test", 1)):
        for number in range(n):
            write_image(tmp_path / images.format(split=split) / f"{number}.png")
            write_map(tmp_path / maps.format(split=split) / f"{number}_mask.png")

    assert counts(read_label_folder(tmp_path)) == {"train": 3, "validation": 2, "test": 1}


def test_segnets_camvid_has_its_names_and_ignores_void(tmp_path: Path) -> None:
    for split in ("train", "val", "test"):
        write_image(tmp_path / split / "0001.png")
        write_map(tmp_path / f"{split}annot" / "0001.png", np.full((2, 6), 11, np.uint8) - (MAP == 1))
    source = read_label_folder(tmp_path)

    assert counts(source) == {"train": 1, "validation": 1, "test": 1}
    assert (source.classes[0], source.classes[3], len(source.classes)) == ("sky", "road", 11)
    assert maps_of(source.train) == [np.where(MAP == 1, 10, IGNORE).tolist()]


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("class_dict.csv", "name,r,g,b\nRoad,128,64,128\nTree,0,0,192\nCar,64,64,0\nVoid,0,0,0\n"),
        ("label_colors.txt", "128 64 128\tRoad\n0 0 192 Tree\n64 64 0 Car\n0 0 0 Void\n"),
        (
            "labelmap.txt",
            "# label:color_rgb:parts:actions\nRoad:128,64,128::\nTree:0,0,192::\nCar:64,64,0::\nvoid:0,0,0::",
        ),
    ],
)
@pytest.mark.parametrize("mode", ["RGB", "P"])
def test_coloured_maps_need_a_file_of_colours(file: str, text: str, mode: str, tmp_path: Path) -> None:
    write_pairs(tmp_path, mode=mode)
    (tmp_path / file).write_text(text)
    source = read_label_folder(tmp_path)

    assert source.classes == ("Road", "Tree", "Car")
    assert maps_of(source.train) == [MAP.tolist()] * 6


def test_without_one_their_colours_are_reported(tmp_path: Path) -> None:
    write_pairs(tmp_path, mode="RGB")

    with pytest.raises(InputError, match=r"a\.png: its labels are colours.*class_dict\.csv"):
        read_label_folder(tmp_path)


def test_a_palette_counts_by_its_indices(tmp_path: Path) -> None:
    assert maps_of(read_label_folder(write_pairs(tmp_path, mode="P")).train) == [MAP.tolist()] * 6


def test_a_list_of_names_numbers_the_values_and_may_ignore_the_first(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    (tmp_path / "classes.txt").write_text("unlabelled\nroad\ntree\n")
    source = read_label_folder(tmp_path)

    assert source.classes == ("road", "tree")
    expected = np.where(MAP == 255, IGNORE, MAP.astype(int) - 1)
    expected[expected < 0] = IGNORE
    assert maps_of(source.train) == [expected.tolist()] * 6


def test_ade20k_ignores_0_and_has_150_classes(tmp_path: Path) -> None:
    for split in ("training", "validation"):
        name = f"ADE_{split[:5]}_00000001"
        write_image(tmp_path / "images" / split / f"{name}.jpg")
        write_map(tmp_path / "annotations" / split / f"{name}.png", np.array([[0, 1, 2, 3, 149, 150]] * 2, np.uint8))
    source = read_label_folder(tmp_path)

    assert counts(source) == {"train": 1, "validation": 1}
    assert len(source.classes) == 150
    assert maps_of(source.train)[0][0] == [IGNORE, 0, 1, 2, 148, 149]

    (tmp_path / "objectInfo150.txt").write_text(
        "Idx\tRatio\tTrain\tVal\tStuff\tName\n" + "".join(f"{i}\t0\t0\t0\t0\tthing {i}\n" for i in range(1, 151))
    )
    assert read_label_folder(tmp_path).classes[149] == "thing 150"


def test_the_full_ade20k_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "index_ade20k.pkl").touch()

    with pytest.raises(InputError, match=r"full ADE20K.*ADEChallengeData2016"):
        read_label_folder(tmp_path)


@pytest.mark.parametrize("kind", ["labelIds", "labelTrainIds"])
def test_cityscapes_ids_become_the_19_classes(kind: str, tmp_path: Path) -> None:
    values = {"labelIds": [0, 7, 8, 24, 33, 34 - 1], "labelTrainIds": [255, 0, 1, 11, 18, 18]}[kind]
    for split in ("train", "val", "test"):
        name = "aachen_000000_000019"
        write_image(tmp_path / "leftImg8bit" / split / "aachen" / f"{name}_leftImg8bit.png")
        folder = tmp_path / "gtFine" / split / "aachen"
        write_map(folder / f"{name}_gtFine_{kind}.png", np.array([values] * 2, np.uint8))
        write_map(folder / f"{name}_gtFine_instanceIds.png", np.full((2, 6), 26001, np.uint16))
    source = read_label_folder(tmp_path)

    assert counts(source) == {"train": 1, "validation": 1}  # the labels of the test split are not published
    assert (len(source.classes), source.classes[11]) == (19, "person")
    assert maps_of(source.train)[0][0] == [IGNORE, 0, 1, 11, 18, 18]


BROKEN = {
    "another size": (
        lambda root: write_map(root / "masks/c.png", MAP[:, :5]),
        r"c\.png: it has 2x5 pixels, .*c\.jpg 2x6",
    ),
    "missing": (lambda root: (root / "masks/c.png").unlink(), r"c\.jpg: it has no label map of its name"),
    "not an image": (lambda root: (root / "masks/c.png").write_text("x"), r"c\.png: it is not an image"),
    "a value that is no class": (
        lambda root: (root / "classes.txt").write_text("road\ntree\n"),
        r"a\.png: it holds values that are none of the 2 classes: 2 \(3 pixels\) \(and 5 more: modernet data check",
    ),
    "0 and 255": (
        lambda root: [
            write_map(root / f"masks/{n}.png", np.where(MAP == 0, 0, 255).astype(np.uint8)) for n in "abcdef"
        ],
        r"0 and 255 alone.*class_dict\.csv: background,0,0,0",
    ),
    "instances in 16 bits": (
        lambda root: write_map(root / "masks/c.png", np.full((2, 6), 26001, np.uint16)),
        r"c\.png: label maps hold values up to 26001, as instances do",
    ),
    "one class": (
        lambda root: [write_map(root / f"masks/{n}.png", np.zeros((2, 6), np.uint8)) for n in "abcdef"],
        "one class only",
    ),
    "a line without a colour": (
        lambda root: (root / "class_dict.csv").write_text("name,r,g,b\nroad,1,2,3\ntree\n"),
        r"class_dict\.csv, line 3: 'tree' is no class",
    ),
    "one colour twice": (
        lambda root: (root / "class_dict.csv").write_text("road,1,2,3\ntree,1,2,3\n"),
        "the colour #010203 twice",
    ),
}


@pytest.mark.parametrize("how", BROKEN)
def test_what_is_broken_is_named_before_training(how: str, tmp_path: Path) -> None:
    breaks, message = BROKEN[how]
    breaks(write_pairs(tmp_path))  # type: ignore[no-untyped-call]

    with pytest.raises(InputError, match=message) as error:
        read_label_folder(tmp_path)
    assert "\n" not in str(error.value)


def test_colours_of_soft_edges_are_counted(tmp_path: Path) -> None:
    write_pairs(tmp_path, mode="RGB")
    (tmp_path / "class_dict.csv").write_text("road,128,64,128\ntree,0,0,192\ncar,64,64,0\nvoid,0,0,0\n")
    image = Image.open(tmp_path / "masks/b.png")
    image.putpixel((2, 0), (64, 32, 160))
    image.save(tmp_path / "masks/b.png")

    with pytest.raises(InputError, match=r"b\.png: 1 pixels have colours .*\(64, 32, 160\) \(1 pixels\)"):
        read_label_folder(tmp_path)


def test_a_map_drawn_before_the_rotation_of_its_image_is_recognised(tmp_path: Path) -> None:
    write_pairs(tmp_path)
    exif = Image.Exif()
    exif[0x0112] = 6
    write_image(tmp_path / "images/c.jpg", exif=exif)

    with pytest.raises(
        InputError, match=r"c\.png: it has 2x6 pixels, its image c\.jpg 6x2; .*before its EXIF rotation"
    ):
        read_label_folder(tmp_path)


def test_other_folders_are_refused_with_the_known_layouts(tmp_path: Path) -> None:
    write_image(tmp_path / "cat" / "0.jpg")

    with pytest.raises(InputError, match="no semantic targets; known are images/ with masks/"):
        open_dataset(str(tmp_path), targets="semantic")


def test_a_folder_opens_and_its_images_stay_whole(tmp_path: Path) -> None:
    write_pairs(tmp_path, [f"{number:02}" for number in range(30)])
    dataset = open_dataset(str(tmp_path), targets="semantic", image_size=2)

    assert dataset.classes == ("0", "1", "2")
    assert len(dataset.train) + len(dataset.validation) + len(dataset.test) == 30
    assert dataset.splits == "about 80 / 10 / 10 % of the one given set"


def write_voc(root: Path, lists: dict[str, str], maps: str = "abcdef") -> Path:
    for name in "abcdefgh":
        write_image(root / "JPEGImages" / f"{name}.jpg")
    for name in maps:
        write_map(root / "SegmentationClass" / f"{name}.png", mode="P")
    for name, listed in lists.items():
        file = root / "ImageSets" / "Segmentation" / f"{name}.txt"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("\n".join(listed) + "\n")
    return root


def names_of(examples: Examples | None) -> str:
    assert examples is not None
    return "".join(Path(examples.images.name(index)).stem for index in range(len(examples)))


def test_the_lists_of_pascal_voc_say_which_image_is_in_which_split(tmp_path: Path) -> None:
    lists = {"train": "cab", "val": "de", "trainval": "abcde", "test": "gh"}  # the maps of its test are not published
    source = read_label_folder(write_voc(tmp_path / "VOC2012", lists))
    assert counts(source) == {"train": 3, "validation": 2}
    assert (names_of(source.train), names_of(source.validation)) == ("cab", "de")
    assert source.classes[:3] == ("background", "aeroplane", "bicycle")
    assert len(source.classes) == 21
    assert maps_of(source.train)[0] == MAP.tolist()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("lists", "expected"),
    [
        ({"default": "abc"}, {"train": "abc"}),  # CVAT's
        ({"trainval": "abcde", "val": "bd"}, {"train": "ace", "validation": "bd"}),
        ({"train": "ab", "test": "cf"}, {"train": "ab", "test": "cf"}),
    ],
)
def test_other_lists_are_for_training(lists: dict[str, str], expected: dict[str, str], tmp_path: Path) -> None:
    source = read_label_folder(write_voc(tmp_path, lists))
    assert {split: names_of(examples) for split, examples in source.splits().items()} == expected
    assert source.classes == ("0", "1", "2")


def test_lists_that_do_not_fit_their_images_are_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"train\.txt lists x, and .*JPEGImages has no such image; add it, or remove"):
        read_label_folder(write_voc(tmp_path / "a", {"train": "ax"}))
    with pytest.raises(InputError, match=r"h\.jpg: it has no label map of its name"):
        read_label_folder(write_voc(tmp_path / "b", {"train": "abh"}))


def test_names_of_pascal_voc_do_not_depend_on_how_its_folder_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(write_voc(tmp_path / "VOC2012", {"train": "abc"}))
    assert read_label_folder(Path()).classes[:2] == ("background", "aeroplane")


@pytest.mark.skipif(sys.platform != "linux", reason="names of files are text elsewhere")
def test_lists_of_names_that_are_not_utf8_are_read(tmp_path: Path) -> None:
    root = write_voc(tmp_path, {"train": "ab"})
    for name in ("JPEGImages/a.jpg", "SegmentationClass/a.png"):
        file = root / name
        file.rename(file.with_stem(os.fsdecode(b"\xe9")))
    lists = root / "ImageSets" / "Segmentation" / "train.txt"
    lists.write_bytes(b"\xe9\nb\n")
    assert len(read_label_folder(root).splits()["train"]) == 2
    lists.write_bytes(b"\xe8\nb\n")
    with pytest.raises(InputError, match=r"train\.txt lists \\xe8, and .* has no such image"):
        read_label_folder(root)


def test_maps_that_have_not_changed_are_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MODERNET_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(label_maps, "_WORTH_KEEPING", 6)
    read: list[str] = []

    def read_values(path: Path, *, coloured: bool) -> np.ndarray:
        read.append(path.stem)
        return label_files.read_values(path, coloured=coloured)

    monkeypatch.setattr(label_maps, "read_values", read_values)
    folder = write_pairs(tmp_path / "data")

    def classes() -> tuple[str, ...]:
        read.clear()
        return read_label_folder(folder).classes

    def age() -> None:
        for path in folder.rglob("*.*"):
            os.utime(path, (1e9, 1e9))

    assert (classes(), sorted(read)) == (("0", "1", "2"), list("abcdef"))
    assert (classes(), sorted(read)) == (("0", "1", "2"), list("abcdef"))  # too new: they may still change unseen
    age()
    assert (classes(), sorted(read)) == (("0", "1", "2"), list("abcdef"))
    assert (classes(), read) == (("0", "1", "2"), [])
    write_map(folder / "masks" / "c.png", MAP + (MAP == 2))
    assert (classes(), read) == (("0", "1", "2", "3"), ["c"])

    write_image(folder / "images" / "d.jpg", size=(3, 6))
    age()
    with pytest.raises(InputError, match=r"d\.png: it has 2x6 pixels, its image d\.jpg 3x6"):
        classes()
    with pytest.raises(InputError, match=r"d\.png: it has 2x6 pixels, its image d\.jpg 3x6"):
        classes()
    assert read == ["d"]
    next((tmp_path / "cache" / "label-maps").glob("*.json")).write_text("{")
    with pytest.raises(InputError, match=r"d\.png"):
        classes()
    assert sorted(read) == list("abcdef")


@pytest.mark.data("camvid")
def test_camvid_opens(data_folder: Path) -> None:
    source = read_label_folder(data_folder)

    assert counts(source) == {"train": 367, "validation": 101, "test": 233}
    assert len(source.classes) == 11
