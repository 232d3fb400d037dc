"""Pascal VOC's xml files, as VOC and labelling tools write them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from data.detection_exports import boxes_of, read, targets_of, write_image
from modernet.errors import InputError

Corners = tuple[object, object, object, object]


def thing(name: str | None = "cat", corners: Corners | None = (3, 4, 12, 11), more: str = "") -> str:
    box = ""
    if corners is not None:
        tags = zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
        box = f"<bndbox>{''.join(f'<{tag}>{value}</{tag}>' for tag, value in tags)}</bndbox>"
    named = "" if name is None else f"<name>{name}</name>"
    return f"<object>{named}{more}{box}</object>"


def write(
    root: Path,
    name: str,
    things: Sequence[str],
    *,
    filename: str | None = None,
    size: str = "<size><width>30</width><height>20</height><depth>3</depth></size>",
    image: str | None = None,
) -> None:
    """Write an xml file, by its path without suffix, and its image beside it, or in JPEGImages."""
    file = root / f"{name}.xml"
    file.parent.mkdir(parents=True, exist_ok=True)
    filename = f"{file.stem}.jpg" if filename is None else filename
    file.write_text(f"<annotation><filename>{filename}</filename>{size}{''.join(things)}</annotation>")
    write_image(root / (image or f"{name}.jpg".replace("Annotations", "JPEGImages")))


def test_corners_count_from_1_and_the_last_pixel_belongs_to_the_box(tmp_path: Path) -> None:
    write(tmp_path, "Annotations/a", [thing("dog"), thing("cat", (1, 1, 30, 20)), thing("cat", (2.5, 3.5, 9.0, 8.0))])
    write(tmp_path, "Annotations/b", [])
    source, said = read(tmp_path)
    targets = targets_of(source.train)
    assert source.classes == ("cat", "dog")
    assert boxes_of(source.train) == [[2, 3, 12, 11], [0, 0, 30, 20], [1.5, 2.5, 9, 8]]
    assert (targets.labels.tolist(), targets.offsets.tolist()) == ([1, 0, 0], [0, 3, 3])
    assert (targets.category_ids, targets.image_ids.tolist(), targets.masks) == ((1, 2), [1, 2], None)
    assert targets.areas.tolist() == [80, 600, 7.5 * 5.5]
    assert said.splitlines() == [f"{tmp_path.name}: objects: 3, classes: 2, images: 2 (1 without objects)"]


def test_one_corner_at_0_means_that_a_tool_counted_from_0(tmp_path: Path) -> None:
    write(tmp_path, "Annotations/a", [thing()])
    write(tmp_path, "Annotations/b", [thing("cat", (0, 5, 9, 9))])
    source, said = read(tmp_path)
    assert boxes_of(source.train) == [[3, 4, 12, 11], [0, 5, 9, 9]]
    assert f"corners are pixels counted from 0, as in {tmp_path / 'Annotations/b.xml'}, object 1 (cat)" in said


def test_an_empty_box_at_0_says_nothing_about_the_others(tmp_path: Path) -> None:
    write(tmp_path, "Annotations/a", [thing(), thing("cat", (0, 0, 0, 0))])
    source, said = read(tmp_path)
    assert boxes_of(source.train) == [[2, 3, 12, 11]]
    assert "a.xml, object 2 (cat): its box is outside of its image (-1 -1 0 0 in 20 x 30)" in said


def test_difficult_objects_are_as_crowds(tmp_path: Path) -> None:
    flags = ["<difficult>1</difficult>", "<difficult>0</difficult>", "<difficult/>", "<truncated>1</truncated>"]
    write(tmp_path, "Annotations/a", [thing("cat", (n, 2, 20, 20), flag) for n, flag in enumerate(flags, 2)])
    assert targets_of(read(tmp_path)[0].train).crowd.tolist() == [True, False, False, False]


def test_parts_of_an_object_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>4</xmax><ymax>4</ymax></bndbox></part>"
    write(tmp_path, "Annotations/a", [thing("person", more=part), thing("person", None, part)])
    source, said = read(tmp_path)
    assert source.classes == ("person",)
    assert boxes_of(source.train) == [[2, 3, 12, 11]]
    assert "a.xml, object 2 (person): its box is not four numbers" in said


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        (thing("cat", (9, 9, 5, 5)), "object 2 (cat): its box is empty"),
        (thing("cat", (31, 4, 50, 9)), "object 2 (cat): its box is outside of its image"),
        (thing("cat", (3, 4, "x", "")), "object 2 (cat): its box is not four numbers"),
        (thing("cat", None), "object 2 (cat): its box is not four numbers"),
        (thing("cat", (9, 9, 8.5, 12)), "object 2 (cat): its box is less than a pixel wide or high"),
        (thing(), "object 2 (cat): it is a copy of another"),
        (thing(None, (5, 5, 9, 9)), "object 2: it has no name; write that of its class"),
        (thing(" ", (5, 5, 9, 9)), "object 2: it has no name"),
    ],
)
def test_a_wrong_object_is_dropped_alone(tmp_path: Path, wrong: str, reason: str) -> None:
    write(tmp_path, "Annotations/a", [thing(), wrong])
    source, said = read(tmp_path)
    assert source.classes == ("cat",)
    assert boxes_of(source.train) == [[2, 3, 12, 11]]
    assert f"objects dropped: 1, first {tmp_path / 'Annotations/a.xml'}, {reason}" in said


@pytest.mark.parametrize(
    "size", ["", "<size/>", "<size><width>0</width><height>0</height></size>", "<size><width>x</width></size>"]
)
def test_a_missing_size_is_read_from_the_image(tmp_path: Path, size: str) -> None:
    write(tmp_path, "Annotations/a", [thing("cat", (25, 15, 90, 90))], size=size)
    source, said = read(tmp_path)
    assert boxes_of(source.train) == [[24, 14, 30, 20]]
    assert "another size" not in said


def test_a_size_from_before_an_exif_rotation_is_named(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 8
    write(tmp_path, "Annotations/a", [thing()])
    write_image(tmp_path / "JPEGImages/a.jpg", exif=exif)
    _, said = read(tmp_path)
    assert "it has 30 x 20 pixels, its annotations are for 20 x 30; that is its size before its EXIF rotation" in said


def test_a_wrong_size_is_found_in_any_image(tmp_path: Path) -> None:
    for number in range(40):
        write(tmp_path, f"Annotations/{number:02}", [thing("cat", (3, 4, 28, 11))])
    write_image(tmp_path / "JPEGImages/01.jpg", (30, 20))
    source, said = read(tmp_path)
    assert boxes_of(source.train)[1] == [2, 3, 20, 11]
    assert f"their annotations say: 1, first {tmp_path / 'JPEGImages/01.jpg'}: it has 30 x 20 pixels" in said


@pytest.mark.parametrize("filename", ["", "a", "a.png", "C:\\data\\a.jpeg", "another.jpg"])
def test_an_image_is_found_whatever_the_filename_says(tmp_path: Path, filename: str) -> None:
    write(tmp_path, "Annotations/a", [thing()], filename=filename)
    write_image(tmp_path / "SegmentationClass/a.png")
    source, _ = read(tmp_path)
    assert [source.train.images.identity(i) for i in range(len(source.train))] == ["a.jpg"]


def test_images_of_one_name_are_found_in_the_folders_of_their_files(tmp_path: Path) -> None:
    for number, site in enumerate(("north", "south"), 1):
        write(tmp_path, f"Annotations/{site}/a", [thing("cat", (number, 4, 12, 11))], filename="")
    source, _ = read(tmp_path)
    assert [source.train.images.identity(i) for i in range(2)] == ["north/a.jpg", "south/a.jpg"]
    assert [box[0] for box in boxes_of(source.train)] == [0, 1]


def test_a_missing_image_is_not_taken_from_another_split(tmp_path: Path) -> None:
    for name in ("train/a", "val/a", "val/b"):
        write(tmp_path, f"Annotations/{name}", [thing()])
    (tmp_path / "JPEGImages/val/a.jpg").unlink()
    source, said = read(tmp_path)
    assert {name: len(split) for name, split in source.splits().items()} == {"train": 1, "validation": 1}
    assert f"{tmp_path / 'Annotations/val/a.xml'}: there is no image a in" in said


def test_a_file_of_another_name_than_its_image_names_it(tmp_path: Path) -> None:
    write(tmp_path, "Annotations/first", [thing()], filename="photo.png", image="JPEGImages/photo.jpg")
    assert read(tmp_path)[0].train.images.identity(0) == "photo.jpg"


def test_files_without_images_and_images_without_files_are_said(tmp_path: Path) -> None:
    for name in "ab":
        write(tmp_path, f"Annotations/{name}", [thing()])
    (tmp_path / "JPEGImages/b.jpg").unlink()
    write_image(tmp_path / "JPEGImages/c.jpg")
    source, said = read(tmp_path)
    assert len(source.train) == 1
    assert (
        f"listed twice: 1, first {tmp_path / 'Annotations/b.xml'}: there is no image b in {tmp_path / 'JPEGImages'}"
        in said
    )
    assert "without an annotation file, so not used: 1 of 2 images" in said
    (tmp_path / "JPEGImages/a.jpg").unlink()
    with pytest.raises(InputError, match=r"none of the images of .* such as that of a\.xml"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("<annotation>\n<object>", r"a\.xml, line 2: it is no XML \(no element found"),
        ("", r"a\.xml, line 1: it is no XML"),
        ("<html></html>", r"a\.xml: its root is <html>, not <annotation>; remove it, or export it again"),
        ('<?xml version="1.0" encoding="nonsense"?><annotation/>', r"a\.xml.*unknown encoding"),
    ],
)
def test_a_file_that_cannot_be_read_stops_before_training(tmp_path: Path, text: str, reason: str) -> None:
    for name in "abc":
        write(tmp_path, f"Annotations/{name}", [thing()])
    for name in "ab":
        (tmp_path / f"Annotations/{name}.xml").write_text(text)
    with pytest.raises(InputError, match=rf"{reason}.*\(and 1 more: modernet data check lists all\)") as caught:
        read(tmp_path)
    assert "\n" not in str(caught.value)


def test_image_sets_say_the_splits(tmp_path: Path) -> None:
    for name in "abcd":
        write(tmp_path, f"Annotations/{name}", [thing()])
    sets = tmp_path / "ImageSets/Main"
    sets.mkdir(parents=True)
    for name, text in {
        "train": "a\nb\n",
        "val": "c  1\ngone -1\n",
        "trainval": "a\nb\nc\n",
        "cat_train": "d 1\n",
    }.items():
        (sets / f"{name}.txt").write_text(text)
    source, said = read(tmp_path)
    assert {name: len(split) for name, split in source.splits().items()} == {"train": 2, "validation": 1}
    assert "val.txt: without an annotation file, so not used: 1 of 2 images, such as gone" in said
    assert "in no list of ImageSets/Main, so not used: 1 of 4 annotation files" in said
    (sets / "train.txt").unlink()
    (sets / "val.txt").unlink()
    (sets / "test.txt").write_text("d\n")
    source, _ = read(tmp_path)
    assert {name: len(split) for name, split in source.splits().items()} == {"train": 3, "test": 1}


def test_names_in_image_sets_may_have_spaces(tmp_path: Path) -> None:
    for name in ("my photo", "photo 1", "last"):
        write(tmp_path, f"Annotations/{name}", [thing()])
    (tmp_path / "ImageSets/Main").mkdir(parents=True)
    (tmp_path / "ImageSets/Main/train.txt").write_text("my photo  1\nphoto 1\nlast -1\n")
    source, said = read(tmp_path)
    assert len(source.train) == 3
    assert "not used" not in said


@pytest.mark.parametrize("layout", ["{split}/{name}", "Annotations/{split}/{name}", "{name}"])
def test_files_may_be_beside_images_or_in_folders_of_splits(tmp_path: Path, layout: str) -> None:
    for split in ("train", "valid"):
        for name in "ab":
            write(tmp_path, layout.format(split=split, name=name), [thing(split if name == "a" else "cat")])
    source, said = read(tmp_path)
    assert "left out" not in said
    splits = {name: len(split) for name, split in source.splits().items()}
    assert splits == ({"train": 2, "validation": 2} if "split" in layout else {"train": 2})
    if "split" in layout:
        assert source.classes == ("cat", "train", "valid")
        assert targets_of(source.validation).labels.tolist() == [2, 0]
